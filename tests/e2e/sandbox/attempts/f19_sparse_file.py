"""Make a file that claims four terabytes."""

import os
import signal

from tests.e2e.sandbox.attempts.inside import attempt, reached

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = os.open("/workspace/result", os.O_RDWR | os.O_CREAT)
attempt(os.ftruncate, file, 4 << 40)
if os.fstat(file).st_size > 1 << 30:
    reached("four terabytes")
