"""Look into home folders and for stored credentials."""

import glob
import os

from tests.e2e.sandbox.attempts.inside import reached

for pattern in (
    "/root/.*",
    "/home/*",
    "/etc/shadow",
    "/etc/ssh/*",
    "/var/lib/*",
    "/run/secrets/*",
    "/var/run/secrets/*",
    os.path.expanduser("~/.ssh"),
    os.path.expanduser("~/.aws"),
):
    if found := glob.glob(pattern):
        reached(found)
print("refused: none of them is there")
