"""Load and remove kernel modules.

gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("init_module", 175, 105, 0, 0, b"")
must_be_refused("finit_module", 313, 273, 0, b"", 0)
must_be_refused("delete_module", 176, 106, b"loop", 0)
