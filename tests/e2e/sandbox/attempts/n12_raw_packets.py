"""Send and see raw packets.

gvisor: virtual
"""

import socket

from tests.e2e.sandbox.attempts.inside import attempt, reached

for family, kind, protocol in (
    (2, 3, 1),
    (2, 3, 255),
    (10, 3, 58),
    (17, 3, 768),
    (17, 2, 768),
    (2, 2, 1),
):
    link = attempt(socket.socket, family, kind, protocol)
    if link is not None:
        reached(f"family {family}, kind {kind}")
