"""Reboot, with numbers the kernel would not accept.

gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("reboot", 169, 142, 1, 2, 3, 0)
