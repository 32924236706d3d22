"""Change the execution domain, for instance to switch off address randomness.

control: yes
gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("personality", 135, 92, 0x0040000)
