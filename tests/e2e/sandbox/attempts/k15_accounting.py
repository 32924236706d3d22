"""Log every process of the host."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("acct", 163, 89, b"/workspace/log")
