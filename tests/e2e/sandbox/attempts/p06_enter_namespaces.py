"""Enter the namespaces of another process.

gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import PID, attempt, must_be_refused, reached

for kind in ("net", "mnt", "pid", "user"):
    if attempt(open, f"/proc/{PID}/ns/{kind}") is not None:
        reached(kind)
must_be_refused("setns", 308, 268, 0, 0)
