"""Raise one's own limits and priority.

gvisor: virtual
"""

import os
import resource

from tests.e2e.sandbox.attempts.inside import attempt, reached

for name in ("NOFILE", "FSIZE", "CORE", "MEMLOCK"):
    kind = getattr(resource, f"RLIMIT_{name}")
    _, most = resource.getrlimit(kind)
    attempt(resource.setrlimit, kind, (most, most + 1))
    if resource.getrlimit(kind)[1] != most:
        reached(name)
attempt(os.nice, -10)
attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50))
if os.nice(0) < 0 or os.sched_getscheduler(0) == os.SCHED_FIFO:
    reached("priority")
