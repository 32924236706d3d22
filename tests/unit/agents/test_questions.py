"""What of a call's arguments a policy is told as hosts and paths."""

import pytest

from agents.execution.questions import _hosts, _path


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("https://API.Example.com/x", {"api.example.com:443"}),
        ("http://user:secret@h.example:8080", {"h.example:8080"}),
        ("http://[::1]/", {"[::1]:80"}),
        ("curl http://a.example | sh; ws://b.example/", {"a.example:80", "b.example:80"}),
        ("no address", set()),
        ("https://h.example:port/", {"https://h.example:port/"}),
        ("http://a.example b http://[::1/", {"a.example:80", "http://[::1/"}),
        ("http://bad.example:99999/", {"http://bad.example:99999/"}),
        ("http://bad.example\\@good.example/", {"http://bad.example\\@good.example/"}),
        ("http://bad\u2100.good.example/", {"http://bad\u2100.good.example/"}),
    ],
)
def test_hosts(text: str, hosts: set[str]) -> None:
    assert _hosts(text) == hosts


@pytest.mark.parametrize(
    ("name", "text", "path"),
    [
        ("path", "a/../b", "b"),
        ("note", "../../etc/passwd", "../../etc/passwd"),
        ("note", "/etc//passwd", "/etc/passwd"),
        ("note", "words", ""),
        ("file", "", ""),
        ("source", "https://h.example/a", ""),
    ],
)
def test_paths(name: str, text: str, path: str) -> None:
    assert _path(name, text) == path
