"""Sandboxes made of rules on paths and system calls alone, for hosts that refuse namespaces."""

from sandbox.runners.landlock.runner import LandlockRunner

__all__ = ["LandlockRunner"]
