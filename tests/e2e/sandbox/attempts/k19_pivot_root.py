"""Exchange the root folder.

gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("pivot_root", 155, 41, b"/workspace", b"/workspace")
