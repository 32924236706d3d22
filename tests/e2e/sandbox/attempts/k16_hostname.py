"""Rename the machine."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("sethostname", 170, 161, b"taken", 5)
must_be_refused("setdomainname", 171, 162, b"taken", 5)
