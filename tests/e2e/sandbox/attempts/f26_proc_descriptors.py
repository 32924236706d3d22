"""Reach files of other processes through their descriptors.

gvisor: virtual
"""

import os

from tests.e2e.sandbox.attempts.inside import PID, attempt, reached

for process in (1, PID):
    for number in attempt(os.listdir, f"/proc/{process}/fd") or []:
        if attempt(os.open, f"/proc/{process}/fd/{number}", os.O_RDWR) is not None:
            reached(f"descriptor {number} of {process}")
