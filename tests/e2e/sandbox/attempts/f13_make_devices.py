"""Make device files for memory and disks."""

import os
import stat

from tests.e2e.sandbox.attempts.inside import attempt, reached

for number, (kind, major, minor) in enumerate(
    [(stat.S_IFCHR, 1, 1), (stat.S_IFBLK, 7, 0), (stat.S_IFBLK, 8, 0), (stat.S_IFBLK, 254, 0)]
):
    path = f"/workspace/device{number}"
    attempt(os.mknod, path, kind | 0o666, os.makedev(major, minor))
    if os.path.exists(path) and attempt(open, path, "rb") is not None:
        reached(path)
