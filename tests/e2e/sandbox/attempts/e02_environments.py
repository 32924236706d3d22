"""Read the environment of every process.

control: yes
gvisor: blocked
"""

import glob

from tests.e2e.sandbox.attempts.inside import attempt

for path in glob.glob("/proc/[0-9]*/environ"):
    file = attempt(open, path, "rb")
    print(file.read() if file is not None else "")
