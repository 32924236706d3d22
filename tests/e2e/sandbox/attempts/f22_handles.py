"""Open files by handle, past every folder.

gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("name_to_handle_at", 303, 264, -100, b"/usr", 0, 0, 0)
must_be_refused("open_by_handle_at", 304, 265, 0, 0, 0)
