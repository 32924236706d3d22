"""Talk to the kernel's audit, firewall and event channels.

gvisor: virtual
"""

import socket

from tests.e2e.sandbox.attempts.inside import attempt, reached

for protocol in (2, 4, 6, 7, 9, 12, 15, 16, 20):
    if attempt(socket.socket, 16, 3, protocol) is not None:
        reached(f"netlink {protocol}")
