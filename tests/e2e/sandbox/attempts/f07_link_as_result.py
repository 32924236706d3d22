"""Leave a symbolic link to a file of the host as the result.

control: yes
gvisor: blocked
"""

import os

from tests.e2e.sandbox.attempts.inside import SECRET

os.symlink(SECRET, "/workspace/result")
