"""Kill, stop and trace the sandbox's own process 1.

gvisor: ends
"""

import os
import signal

from tests.e2e.sandbox.attempts.inside import attempt, must_be_refused

must_be_refused("ptrace", 101, 117, 16, 1, 0, 0)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGSEGV, signal.SIGKILL):
    attempt(os.kill, 1, number)
