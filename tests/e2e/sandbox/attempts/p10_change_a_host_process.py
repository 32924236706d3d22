"""Change priority, limits and affinity of a process of the host.

control: yes
gvisor: blocked
"""

import os
import resource

from tests.e2e.sandbox.attempts.inside import PID, attempt

attempt(os.setpriority, os.PRIO_PROCESS, PID, 15)
attempt(resource.prlimit, PID, resource.RLIMIT_NOFILE, (7, 7))
attempt(os.sched_setaffinity, PID, {0})
