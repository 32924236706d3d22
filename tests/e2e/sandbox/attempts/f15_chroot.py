"""Leave through a changed root folder.

gvisor: blocked
"""

import os

from tests.e2e.sandbox.attempts.inside import SECRET, attempt, reached

os.makedirs("/workspace/jail", exist_ok=True)
above = os.open("/", os.O_RDONLY)
if attempt(os.chroot, "/workspace/jail") is None and os.path.exists("/workspace/jail"):
    print("refused: still in the same root")
else:
    reached("chroot")
os.fchdir(above)
for _ in range(40):
    os.chdir("..")
print(attempt(open, "." + SECRET))
