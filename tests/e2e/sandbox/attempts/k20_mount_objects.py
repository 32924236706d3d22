"""Mount by the newer calls.

control: yes
gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("open_tree", 428, 428, -100, b"/", 0)
must_be_refused("move_mount", 429, 429, -1, b"", -1, b"", 0)
must_be_refused("fsopen", 430, 430, b"tmpfs", 0)
must_be_refused("fsmount", 432, 432, 0, 0, 0)
must_be_refused("fspick", 433, 433, -100, b"/", 0)
must_be_refused("mount_setattr", 442, 442, -100, b"/", 0, 0, 0)
