"""Take a descriptor out of another process."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("pidfd_getfd", 438, 438, 0, 0, 0)
