"""The folder a sandbox may write to: its quota, reading results out of it, deleting it.

Whatever lies in a workspace was put there by the work. Nothing on the host may follow its links,
mount a path below it, or run a program in it (also not `git`, whose configuration names programs).
"""

from sandbox.workspaces.deleting import delete_workspace
from sandbox.workspaces.reading import safe_read

__all__ = ["delete_workspace", "safe_read"]
