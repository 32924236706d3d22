"""Make system calls through a ring, past the filter.

control: yes
gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("io_uring_setup", 425, 425, 8, 0)
must_be_refused("io_uring_enter", 426, 426, 0, 0, 0, 0, 0, 0)
must_be_refused("io_uring_register", 427, 427, 0, 0, 0, 0)
