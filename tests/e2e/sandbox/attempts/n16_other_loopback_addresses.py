"""Reach the host by the other addresses of its loopback interface.

control: yes
"""

import socket

from tests.e2e.sandbox.attempts.inside import PORT, attempt, reached

for address in ("127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0"):
    if attempt(socket.create_connection, (address, PORT), 2) is not None:
        reached(address)
