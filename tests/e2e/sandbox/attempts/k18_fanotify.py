"""Watch what the whole machine opens."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("fanotify_init", 300, 262, 0, 0)
