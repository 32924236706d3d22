"""Reach a service on the host's own address.

control: yes
gvisor: blocked
"""

import socket

from tests.e2e.sandbox.attempts.inside import ADDRESS, PORT, attempt, reached

if attempt(socket.create_connection, (ADDRESS, PORT), 2) is not None:
    reached(ADDRESS)
