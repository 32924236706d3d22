"""Which system calls a sandboxed program may make, compiled for the kernel without a library."""

from sandbox.seccomp.container import container_profile
from sandbox.seccomp.filter import MACHINES, compiled, without_sharing

__all__ = ["MACHINES", "compiled", "container_profile", "without_sharing"]
