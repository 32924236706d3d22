"""Leave a hard link to a file of the host as the result."""

import os

from tests.e2e.sandbox.attempts.inside import PID, SECRET, attempt

attempt(os.link, SECRET, "/workspace/result")
attempt(os.link, f"/proc/{PID}/root{SECRET}", "/workspace/result")
