"""Make system calls by the 32-bit interrupt, past a filter of the ordinary ones.

gvisor: blocked
"""

import ctypes
import mmap
import os

from tests.e2e.sandbox.attempts.inside import IS_X86, reached

if IS_X86 and os.fork() == 0:
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex("b814000000cd80c3"))  # getpid by int 0x80
    code = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    result = code()
    os._exit(0 if result > 0 else 1)
if IS_X86:
    _, status = os.wait()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        reached("int 0x80")
    print(f"refused: signal {status & 127}")
