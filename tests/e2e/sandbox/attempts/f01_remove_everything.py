"""Remove the whole file system.

gvisor: blocked
"""

import subprocess

from tests.e2e.sandbox.attempts.inside import CANARIES

subprocess.run(["rm", "-rf", "--no-preserve-root", "/"], stderr=subprocess.DEVNULL, check=False)
subprocess.run(["rm", "-rf", CANARIES], stderr=subprocess.DEVNULL, check=False)
