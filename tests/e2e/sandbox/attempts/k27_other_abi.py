"""Make system calls by the x32 numbers, past a filter of the ordinary ones."""

import os

from tests.e2e.sandbox.attempts.inside import IS_X86, must_be_refused

for name, number in (("x32 getpid", 0x40000000 | 39), ("x32 ptrace", 0x40000000 | 521)):
    if IS_X86 and os.fork() == 0:
        must_be_refused(name, number, -1, 0, 0, 0, 0)
        os._exit(0)
    if IS_X86:
        print(f"ended: signal {os.wait()[1] & 127}", flush=True)
