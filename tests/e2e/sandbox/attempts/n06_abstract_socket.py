"""Reach an abstract Unix socket of the host.

control: yes
gvisor: blocked
"""

import socket

from tests.e2e.sandbox.attempts.inside import ABSTRACT, attempt, reached

if attempt(socket.socket(socket.AF_UNIX).connect, "\0" + ABSTRACT) is not None:
    reached("abstract")
