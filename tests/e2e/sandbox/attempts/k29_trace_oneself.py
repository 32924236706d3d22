"""Trace one's own child, to change its system calls after the filter saw them.

control: yes
gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("ptrace", 101, 117, 0, 0, 0, 0)
