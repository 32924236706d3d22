"""Use descriptors that were left open."""

import os

from tests.e2e.sandbox.attempts.inside import reached

for number in range(3, 256):
    try:
        reached(f"{number}: {os.readlink(f'/proc/self/fd/{number}')} {os.fstat(number)}")
    except OSError:
        continue
