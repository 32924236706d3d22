"""Events come out whole, whatever the pieces they came in; memory stays bounded."""

import pytest

from agents.providers.sse import EventTooLargeError, SseDecoder

STREAM = (
    b'data: {"a":1}\n\n: a comment\n\nevent: x\ndata:two\ndata: lines\nid: 7\n\ndata: [DONE]\n\n'
)
EVENTS = [b'{"a":1}', b"two\nlines", b"[DONE]"]


def fed(decoder: SseDecoder, stream: bytes, size: int) -> list[bytes]:
    events: list[bytes] = []
    for start in range(0, len(stream), size):
        events += decoder.feed(stream[start : start + size])
    return events


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_events_do_not_depend_on_pieces_or_line_ends(size: int, line_end: bytes) -> None:
    assert fed(SseDecoder(), STREAM.replace(b"\n", line_end), size) == EVENTS


def test_an_event_without_its_blank_line_comes_at_the_close() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: one\n\ndata: last") == [b"one"]
    assert decoder.close() == [b"last"]


def test_an_event_with_its_line_end_only_comes_at_the_close() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: last\n") == []
    assert decoder.close() == [b"last"]
    assert decoder.close() == []


def test_an_error_event_takes_the_shape_of_an_error_object() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b'event: error\ndata: {"message":"no"}\n\n') == [
        b'{"error":{"message":"no"}}'
    ]
    assert decoder.feed(b'event: error\ndata: {"error":1}\n\n') == [b'{"error":1}']
    assert decoder.feed(b"data: after\n\n") == [b"after"]


def test_the_event_name_does_not_outlive_its_event() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"event: error\n\ndata: fine\n\n") == [b"fine"]


def test_a_line_without_end_is_refused() -> None:
    decoder = SseDecoder(max_event_bytes=100)
    with pytest.raises(EventTooLargeError, match="longer than 100 bytes"):
        fed(decoder, b"data: " + b"x" * 200, 10)


def test_an_event_of_endless_lines_is_refused() -> None:
    decoder = SseDecoder(max_event_bytes=100)
    with pytest.raises(EventTooLargeError, match="larger than 100 bytes"):
        fed(decoder, b"data: 0123456789\n" * 20, 17)


def test_many_small_events_are_no_large_event() -> None:
    decoder = SseDecoder(max_event_bytes=20)
    assert fed(decoder, b"data: 0123456789\n\n" * 50, 7) == [b"0123456789"] * 50
