"""Change disk quotas."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("quotactl", 179, 60, 0, 0, 0, 0)
must_be_refused("quotactl_fd", 443, 443, 0, 0, 0, 0)
