"""Change descriptor tables, ports and hardware access."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("modify_ldt", 154, -1, 0, 0, 0)
must_be_refused("iopl", 172, -1, 3)
must_be_refused("ioperm", 173, -1, 0, 1, 1)
