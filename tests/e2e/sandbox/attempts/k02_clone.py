"""Start a process in new namespaces.

gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("clone", 56, 220, 0x10000000 | 0x40000000 | 17, 0, 0, 0, 0)
must_be_refused("clone3", 435, 435, 0, 0)
