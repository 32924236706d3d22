"""The command line.

The commands import little at the top of their files; what is heavy (HTTP, Rich, YAML) is loaded by
the command that needs it, so that help and completion are quick.
"""

PROGRAM = "agentry-cli"  # what its requests say they come from
