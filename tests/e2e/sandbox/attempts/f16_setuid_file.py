"""Gain rights from a setuid program left in the workspace and from those of the host."""

import os
import shutil
import subprocess

from tests.e2e.sandbox.attempts.inside import attempt, reached

shutil.copy("/usr/bin/id", "/workspace/id")
attempt(os.chown, "/workspace/id", 0, 0)
attempt(os.chmod, "/workspace/id", 0o6755)
for command in (["/workspace/id", "-u"], ["su", "-c", "id -u"], ["mount", "/mnt"]):
    if shutil.which(command[0]) is None:
        continue
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.stdout.strip() == "0" or (command[0] == "mount" and done.returncode == 0):
        reached(command)
