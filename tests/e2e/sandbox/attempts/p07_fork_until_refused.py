"""Start processes until it is refused.

gvisor: ends
"""

import os
import time

from tests.e2e.sandbox.attempts.inside import reached

started = 0
try:
    while started < 2000:
        if os.fork() == 0:
            time.sleep(30)
        started += 1
except OSError:
    print(f"refused after {started}")
if started > 64:
    reached(started)
