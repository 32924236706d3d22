"""Give a file capabilities."""

import os
import shutil

from tests.e2e.sandbox.attempts.inside import attempt, reached

shutil.copy("/usr/bin/id", "/workspace/id")
value = bytes.fromhex("0100000200000020000000000000000000000000")
attempt(os.setxattr, "/workspace/id", "security.capability", value)
if "security.capability" in (attempt(os.listxattr, "/workspace/id") or []):
    reached("capabilities")
