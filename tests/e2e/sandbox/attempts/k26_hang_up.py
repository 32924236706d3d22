"""Hang up the terminal."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("vhangup", 153, 58)
