"""Read and write the memory of another process."""

import ctypes

from tests.e2e.sandbox.attempts.inside import PID, attempt, must_be_refused, reached

room = ctypes.create_string_buffer(64)
vector = (ctypes.c_uint64 * 2)(ctypes.addressof(room), 64)
must_be_refused(
    "process_vm_readv", 310, 270, PID, ctypes.byref(vector), 1, ctypes.byref(vector), 1, 0
)
must_be_refused(
    "process_vm_writev", 311, 271, 1, ctypes.byref(vector), 1, ctypes.byref(vector), 1, 0
)
for process in (1, PID):
    if attempt(open, f"/proc/{process}/mem", "r+b") is not None:
        reached(f"memory of {process}")
