"""The shell's fork bomb.

ends: any
gvisor: ends
"""

import subprocess

subprocess.run(["sh", "-c", "b() { b | b & }; b; sleep 60"], check=False)
