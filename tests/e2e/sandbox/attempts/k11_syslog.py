"""Read and clear the kernel's log.

gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("syslog", 103, 116, 10, 0, 0)
must_be_refused("syslog", 103, 116, 3, 0, 0)
