"""Move memory of other processes between nodes.

gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("mbind", 237, 235, 0, 0, 0, 0, 0, 0)
must_be_refused("move_pages", 279, 239, 1, 0, 0, 0, 0, 0)
must_be_refused("migrate_pages", 256, 238, 1, 0, 0, 0)
