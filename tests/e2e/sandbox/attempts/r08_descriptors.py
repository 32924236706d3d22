"""Open files without end.

gvisor: blocked
"""

import os

from tests.e2e.sandbox.attempts.inside import reached

opened = 0
try:
    while opened < 100_000:
        os.open("/dev/null", os.O_RDONLY)
        opened += 1
except OSError:
    print(f"refused after {opened}")
if opened > 256:
    reached(opened)
