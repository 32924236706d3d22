"""Reach a Unix socket of the host by its path.

control: yes
gvisor: blocked
"""

import socket

from tests.e2e.sandbox.attempts.inside import CANARIES, PID, attempt

for root in ("", f"/proc/{PID}/root", "/proc/1/root"):
    attempt(socket.socket(socket.AF_UNIX).connect, f"{root}{CANARIES}/socket")
