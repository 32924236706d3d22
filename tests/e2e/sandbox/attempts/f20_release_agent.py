"""Let the kernel run a program of ours when a control group empties.

gvisor: blocked
"""

import glob

from tests.e2e.sandbox.attempts.inside import attempt, must_be_refused, reached

must_be_refused("mount cgroup", 165, 40, b"cgroup", b"/tmp", b"cgroup", 0, b"memory")
for pattern in (
    "/sys/fs/cgroup/*/release_agent",
    "/sys/fs/cgroup/*/cgroup.procs",
    "/sys/fs/cgroup/cgroup.procs",
):
    for path in glob.glob(pattern):
        if attempt(open, path, "w") is not None:
            reached(path)
