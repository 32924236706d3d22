"""Kill a process of the host that has our own user id.

control: yes
gvisor: blocked
"""

import os
import signal

from tests.e2e.sandbox.attempts.inside import PID, attempt

attempt(os.kill, PID, signal.SIGKILL)
