"""Tests that take root, and what is said where there is none.

CI runs as root, so there such a skip fails like any other.
"""

import os

import pytest

from sandbox.runners.landlock.runner import abi

WITHOUT_ROOT = (
    "needs root: control groups, workspaces' disks and a user for each sandbox; run as root, as "
    "CI does"
)

WITHOUT_LANDLOCK = "the kernel has no Landlock of version 6 (Linux 6.12)"

needs_landlock = pytest.mark.skipif(abi() < 6, reason=WITHOUT_LANDLOCK)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason=WITHOUT_ROOT)


def skip_without_root(items: list[pytest.Item]) -> None:
    """Mark them all."""
    for item in items:
        item.add_marker(needs_root)
