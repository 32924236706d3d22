"""Wait for ever.

ends: timeout
"""

import time

time.sleep(3600)
