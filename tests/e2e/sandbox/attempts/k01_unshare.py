"""Make new namespaces of one's own.

control: yes
gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("unshare user", 272, 97, 0x10000000)
must_be_refused("unshare net", 272, 97, 0x40000000)
must_be_refused("unshare mount", 272, 97, 0x20000)
