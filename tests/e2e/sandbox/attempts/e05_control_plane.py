"""Read the control plane's own files."""

import os

from tests.e2e.sandbox.attempts.inside import CHECKOUT, attempt, reached

for path in (CHECKOUT, CHECKOUT + "/pyproject.toml", "/run/agentry-sandbox", "/var/lib/postgresql"):
    if attempt(os.stat, path) is not None:
        reached(path)
