"""The rules of a test run hold: no way out of this machine, no skip without a reason."""

import socket

import pytest

from tests.conftest import OutsideNetworkError


def test_a_connection_beyond_loopback_raises() -> None:
    with (
        socket.socket() as outside,
        pytest.raises(OutsideNetworkError, match=r"tried to connect to \('192\.0\.2\.1', 80\)"),
    ):
        outside.connect(("192.0.2.1", 80))


def test_a_look_up_of_an_outside_name_raises() -> None:
    with pytest.raises(OutsideNetworkError, match=r"tried to look up 'www\.debian\.org'"):
        socket.getaddrinfo("www.debian.org", 443)


def test_a_reserved_name_does_not_resolve() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)


def test_loopback_is_open() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getpeername() == server.getsockname()
