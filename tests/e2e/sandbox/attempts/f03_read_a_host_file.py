"""Read a file of the host by its path.

control: yes
gvisor: blocked
"""

from pathlib import Path

from tests.e2e.sandbox.attempts.inside import SECRET, attempt

print(attempt(Path(SECRET).read_text))
