"""Find a way out, or make one, in a sandbox that asked for none."""

import os
import socket

from tests.e2e.sandbox.attempts.inside import attempt, reached

if attempt(socket.create_connection, ("127.0.0.1", 3128), 2) is not None:
    reached("a proxy")
link = socket.socket(socket.AF_UNIX)
if attempt(link.connect, "/run/agentry-egress/gateway.sock") is None:
    attempt(os.makedirs, "/run/agentry-egress")
    if attempt(link.bind, "/run/agentry-egress/gateway.sock") is not None:
        reached("a place for a gateway")
if attempt(os.listdir, "/run/agentry-egress"):
    reached("a gateway's folder")
