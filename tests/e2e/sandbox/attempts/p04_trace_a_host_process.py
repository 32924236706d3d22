"""Attach to a process of the host as its debugger.

control: yes
gvisor: virtual
"""

import time

from tests.e2e.sandbox.attempts.inside import PID, must_be_refused

if must_be_refused("ptrace", 101, 117, 16, PID, 0, 0) == 0:
    time.sleep(1)
