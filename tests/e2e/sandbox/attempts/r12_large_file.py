"""Write one file larger than a file may be."""

import os
import signal

from tests.e2e.sandbox.attempts.inside import attempt, reached

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open("/tmp/large", "wb", buffering=0) as file:
    for _ in range(12):
        attempt(file.write, b"x" * (1 << 20))
    if os.fstat(file.fileno()).st_size > 8 << 20:
        reached("a large file")
