"""Write a file of the host by its path.

control: yes
gvisor: blocked
"""

from pathlib import Path

from tests.e2e.sandbox.attempts.inside import VICTIM, attempt

attempt(Path(VICTIM).write_text, "overwritten")
