"""Unmount what lies over the host's folders."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

for place in (b"/proc", b"/usr", b"/workspace", b"/"):
    must_be_refused(f"umount {place!r}", 166, 39, place, 2)
