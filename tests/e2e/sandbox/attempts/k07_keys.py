"""Use the kernel's key rings.

control: yes
gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("keyctl", 250, 219, 0, -3, 0)
must_be_refused("add_key", 248, 217, b"user", b"name", b"value", 5, -3)
must_be_refused("request_key", 249, 218, b"user", b"name", 0, -3)
