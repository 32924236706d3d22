"""A secret that arrives in pieces is found, and prose is not held back for long."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from core import redaction
from core.patterns import patterns_parse
from core.redacted_stream import WITHHELD_PIECE, RedactedStream
from core.redaction import known_secrets, redact_text

KNOWN = "zebra crossing/42"
TEXTS = (
    f"The password is {KNOWN}, they said.",
    "Use sk-abcdefghijklmnop1234 for it.",
    "authorization: Bearer abcdefghijklmnop1234 and more",
    "authorization: basic dXNlcjpwYXNzd29yZA== and more",
    "x-api-key:   hunter2hunter2 and more",
    "see https://user:p4ssw0rd@host/path and more",
    "GET /x?token=abcdefgh12345678&y=1 more",
    "-----BEGIN PRIVATE KEY-----\nMIIabc\ndef\n-----END PRIVATE KEY-----\nmore",
    "id corp-ABCDEF0123456789 and more",
    "naïve 東京タワーは corp-ABCDEF0123456789 です。",
    "emVicmEgY3Jvc3NpbmcvNDI= is it again",
)


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    known_secrets.add(KNOWN)
    before = redaction.configured_patterns()
    redaction.configure(patterns_parse("corp-[A-F0-9]{8,64}"))
    yield
    redaction.configure(before)
    known_secrets.remove(KNOWN)


def streamed(pieces: list[str]) -> str:
    stream = RedactedStream()
    return "".join([*map(stream.feed, pieces), stream.end()])


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_whatever_the_pieces_the_same_is_shown(text: str, size: int) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]

    assert "[redacted]" in redact_text(text)
    assert streamed(pieces) == redact_text(text)


@given(st.data())
@limits(max_examples=200, deadline=None)
def test_no_way_to_cut_shows_a_known_secret(data: st.DataObject) -> None:
    text = " ".join(data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    shown = streamed(pieces)

    for secret in (KNOWN, "abcdefghijklmnop1234", "p4ssw0rd", "hunter2hunter2", "MIIabc",
                   "ABCDEF0123456789", "abcdefgh12345678"):  # fmt: skip
        assert secret not in shown


def test_prose_comes_out_word_by_word() -> None:
    stream = RedactedStream()

    assert [stream.feed(each) for each in ("Hello ", "wor", "ld, ", "how")] == [
        "Hello", "", " world,", "",
    ]  # fmt: skip
    assert stream.end() == " how"


def test_one_endless_word_is_withheld() -> None:
    stream = RedactedStream()
    shown = "".join(stream.feed("a" * 1000) for _ in range(40))

    assert shown == WITHHELD_PIECE
    assert (stream.end(), stream.feed("b "), stream.end()) == ("", "b", " ")
