"""Control groups: limits that hold for all processes of a sandbox together, and killing them all.

Both versions of the kernel's interface, behind one Protocol.
"""

from sandbox.cgroups.contract import Group, Hierarchy
from sandbox.cgroups.found import found_group, hierarchy

__all__ = ["Group", "Hierarchy", "found_group", "hierarchy"]
