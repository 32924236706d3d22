"""Make /usr writable and write a program."""

from pathlib import Path

from tests.e2e.sandbox.attempts.inside import attempt, must_be_refused, reached

must_be_refused("remount", 165, 40, b"none", b"/usr", b"", 32 | 4096, b"")
for place in ("/usr/bin/planted", "/etc/planted", "/planted", "/bin/planted", "/dev/planted"):
    if attempt(Path(place).write_text, "planted") is not None:
        reached(place)
