"""Reach a service of the host by IPv6.

gvisor: blocked
"""

import socket

from tests.e2e.sandbox.attempts.inside import PORT, reached

for address in ("::1", "::ffff:127.0.0.1", "2001:db8::10", "fe80::1"):
    link = socket.socket(socket.AF_INET6)
    link.settimeout(1)
    try:
        link.connect((address, PORT))
    except OSError:
        continue
    reached(address)
print("refused: no address of version 6 leads anywhere")
