"""Send a datagram to the host.

control: yes
gvisor: blocked
"""

import socket

from tests.e2e.sandbox.attempts.inside import ADDRESS, PORT, attempt

for address in ("127.0.0.1", ADDRESS):
    attempt(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, b"canary", (address, PORT))
