"""Add and remove swap."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("swapon", 167, 224, b"/workspace/swap", 0)
must_be_refused("swapoff", 168, 225, b"/workspace/swap")
