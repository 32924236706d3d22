"""Ask the cloud's metadata service."""

import socket

from tests.e2e.sandbox.attempts.inside import attempt, reached

for address in ("169.254.169.254", "169.254.170.2", "100.100.100.200"):
    if attempt(socket.create_connection, (address, 80), 2) is not None:
        reached(address)
