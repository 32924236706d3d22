"""Hold the kernel at a page fault.

gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("userfaultfd", 323, 282, 0)
