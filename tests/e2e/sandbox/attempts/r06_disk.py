"""Fill the disk.

control: yes
gvisor: blocked
"""

import os
import signal

from tests.e2e.sandbox.attempts.inside import attempt

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for number in range(12):
    with open(f"/workspace/fill{number}", "wb", buffering=0) as file:
        for _ in range(4):
            attempt(file.write, os.urandom(1 << 20))
