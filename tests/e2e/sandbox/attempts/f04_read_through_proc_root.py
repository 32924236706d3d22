"""Read a file of the host through the root folder of other processes.

control: yes
gvisor: blocked
"""

from pathlib import Path

from tests.e2e.sandbox.attempts.inside import PID, SECRET, attempt

for process in (1, PID, "self"):
    print(attempt(Path(f"/proc/{process}/root{SECRET}").read_text))
    print(attempt(Path(f"/proc/{process}/cwd/../../../../..{SECRET}").read_text))
