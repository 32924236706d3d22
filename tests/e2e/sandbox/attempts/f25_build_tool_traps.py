"""Leave configuration that makes host tools run programs."""

import os
from pathlib import Path

from tests.e2e.sandbox.attempts.inside import VICTIM

os.makedirs("/workspace/.git", exist_ok=True)
Path("/workspace/.git/HEAD").write_text("ref: refs/heads/main\n")
Path("/workspace/.git/config").write_text(f"[core]\n fsmonitor = echo taken > {VICTIM}\n")
Path("/workspace/conftest.py").write_text(f"open({VICTIM!r}, 'w').write('taken')\n")
