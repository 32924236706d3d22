"""Reach a service on the host's loopback address.

control: yes
gvisor: blocked
"""

import socket

from tests.e2e.sandbox.attempts.inside import PORT, attempt, reached

if attempt(socket.create_connection, ("127.0.0.1", PORT), 2) is not None:
    reached("loopback")
