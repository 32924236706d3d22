"""Hide memory from the kernel itself."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("memfd_secret", 447, 447, 0)
