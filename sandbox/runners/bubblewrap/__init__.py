"""Sandboxes made of the kernel's namespaces by `bwrap`; no container engine is needed."""

from sandbox.runners.bubblewrap.runner import BubblewrapRunner

__all__ = ["BubblewrapRunner"]
