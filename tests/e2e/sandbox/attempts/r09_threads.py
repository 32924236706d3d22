"""Start threads without end.

ends: any
"""

import threading
import time

from tests.e2e.sandbox.attempts.inside import reached

started = 0
try:
    while started < 5000:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        started += 1
except RuntimeError:
    print(f"refused after {started}")
if started > 64:
    reached(started)
