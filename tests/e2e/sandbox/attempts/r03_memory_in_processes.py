"""Fill the memory with many small processes.

ends: memory
gvisor: blocked
"""

import os
import sys
import time

for _ in range(12):
    if os.fork() == 0:
        block = b"x" * (24 << 20)
        time.sleep(5)
        os._exit(0)
sys.exit(sum(os.wait()[1] != 0 for _ in range(12)))
