"""Mount a file system over the program folder.

gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("mount", 165, 40, b"none", b"/tmp", b"tmpfs", 0, b"")
must_be_refused("bind", 165, 40, b"/", b"/tmp", b"", 4096, b"")
