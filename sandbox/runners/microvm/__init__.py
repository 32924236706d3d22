"""Sandboxes that are virtual machines of their own, made by Firecracker."""

from sandbox.runners.microvm.host import Host, find_host
from sandbox.runners.microvm.runner import MicrovmRunner

__all__ = ["Host", "MicrovmRunner", "find_host"]
