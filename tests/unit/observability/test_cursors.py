"""Positions in streams."""

from uuid import UUID

import pytest

from observability.cursors import Topic
from observability.errors import CursorError

WORKSPACE = UUID(int=1)
RUN = Topic(WORKSPACE, UUID(int=2))
STREAM = Topic(WORKSPACE)


@pytest.mark.parametrize(
    ("topic", "text", "position"),
    [
        (RUN, "0", (0, 0)),
        (RUN, "17", (17, 0)),
        (STREAM, "0", (0, 0)),
        (STREAM, "5120.88", (5120, 88)),
        (STREAM, "0.9223372036854775807", (0, 2**63 - 1)),
    ],
)
def test_a_cursor_is_read_and_written_back(
    topic: Topic, text: str, position: tuple[int, int]
) -> None:
    assert topic.parse(text) == position
    assert topic.parse(topic.cursor(position)) == position


@pytest.mark.parametrize("text", ["", "a", "-1", "1.5", " 1", "1\n", "9223372036854775808", "١"])
def test_what_is_no_run_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorError, match="a whole number such as 17"):
        RUN.parse(text)


@pytest.mark.parametrize("text", ["", "7", "1.", ".1", "1.2.3", "1.-2", "1.9223372036854775808"])
def test_what_is_no_workspace_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorError, match="two numbers such as"):
        STREAM.parse(text)


def test_a_position_ahead_of_the_stream_is_refused_by_name() -> None:
    RUN.require_reached((3, 0), (3, 0))
    with pytest.raises(CursorError, match=r"cursor 4 is ahead of run .* ends at 3"):
        RUN.require_reached((4, 0), (3, 0))
    with pytest.raises(CursorError, match=r"cursor 4\.2 is ahead of the workspace"):
        STREAM.require_reached((4, 2), (4, 1))
