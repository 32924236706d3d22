"""Compare kernel objects of processes, to find addresses."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("kcmp", 312, 272, 1, 1, 0, 0, 0)
