"""Type into the terminal of whoever started us."""

import fcntl

from tests.e2e.sandbox.attempts.inside import attempt, reached

for path in ("/dev/tty", "/dev/console", "/dev/tty0", "/dev/stdin"):
    terminal = attempt(open, path, "rb")
    if terminal is not None and attempt(fcntl.ioctl, terminal, 0x5412, b"x") is not None:
        reached(path)
