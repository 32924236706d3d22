"""See the processes of the host.

control: yes
gvisor: blocked
"""

import glob

from tests.e2e.sandbox.attempts.inside import PID, attempt, reached

for path in glob.glob("/proc/[0-9]*/cmdline"):
    if (told := attempt(open, path, "rb")) is not None:  # it may have ended since
        print(told.read())
if attempt(open, f"/proc/{PID}/status") is not None:
    reached(PID)
