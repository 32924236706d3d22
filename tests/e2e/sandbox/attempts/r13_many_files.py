"""Use up the disk's files.

gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import reached

made = 0
try:
    while made < 20_000:
        open(f"/workspace/f{made}", "w").close()
        made += 1
except OSError:
    print(f"refused after {made}")
if made > 4096:
    reached(made)
