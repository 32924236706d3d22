"""Make system calls by the x32 numbers, past a filter of the ordinary ones."""

from tests.e2e.sandbox.attempts.inside import IS_X86, must_be_refused

if IS_X86:
    must_be_refused("x32 getpid", 0x40000000 | 39, -1)
    must_be_refused("x32 ptrace", 0x40000000 | 521, -1, 0, 0, 0, 0)
