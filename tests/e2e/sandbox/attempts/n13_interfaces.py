"""Find another network interface, or change the one there is."""

import socket
import struct

from tests.e2e.sandbox.attempts.inside import attempt, reached

names = [name for _, name in attempt(socket.if_nameindex) or []]
if set(names) - {"lo"}:
    reached(names)
link = attempt(socket.socket, 16, 3, 0)
if link is not None:
    message = struct.pack("=IHHIIBBHiII", 32, 16, 5, 1, 0, 0, 0, 0, 1, 0, 1)
    attempt(link.send, message)
    status = struct.unpack("=i", link.recv(4096)[16:20])[0]
    if status == 0:
        reached("an interface was changed")
