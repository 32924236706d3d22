"""Climb out of the workspace with `..`.

control: yes
gvisor: blocked
"""

from pathlib import Path

from tests.e2e.sandbox.attempts.inside import SECRET, VICTIM, attempt

up = "/workspace" + "/.." * 40
print(attempt(Path(up + SECRET).read_text))
attempt(Path(up + VICTIM).write_text, "overwritten")
