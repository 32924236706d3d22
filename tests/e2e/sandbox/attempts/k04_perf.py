"""Measure the kernel and other processes.

control: yes
gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("perf_event_open", 298, 241, 0, 0, -1, -1, 0)
