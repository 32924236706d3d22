"""Reach an address outside."""

import socket

from tests.e2e.sandbox.attempts.inside import attempt, reached

for address in ("192.0.2.1", "198.51.100.1"):
    if attempt(socket.create_connection, (address, 443), 2) is not None:
        reached(address)
