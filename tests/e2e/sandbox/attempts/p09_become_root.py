"""Become root by every call there is."""

import os

from tests.e2e.sandbox.attempts.inside import attempt, reached

for act, arguments in ((os.setuid, (0,)), (os.setgid, (0,)), (os.setreuid, (0, 0)),
                       (os.setresuid, (0, 0, 0)), (os.setgroups, ([0],))):  # fmt: skip
    if attempt(act, *arguments) is not None:
        reached(act.__name__)
if 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid()):
    reached("root")
capabilities = [line for line in open("/proc/self/status") if line.startswith("Cap")]
if any(int(line.split()[1], 16) for line in capabilities):
    reached(capabilities)
