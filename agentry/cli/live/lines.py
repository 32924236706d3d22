"""The story as plain lines, for pipes, logs and `-o json`; and silence, for --quiet."""

from typing import Protocol, TextIO

from agentry.cli.live.story import Line, Mark, Story

INDENT = "  "


class Show(Protocol):
    """Where a story is shown."""

    def open(self, story: Story) -> None: ...

    def add(self, lines: list[Line]) -> None: ...

    def close(self) -> None: ...


class PlainLines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def open(self, story: Story) -> None:
        """Lines are all there is to see."""

    def add(self, lines: list[Line]) -> None:
        for line in lines:
            for text in told(line):
                self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


class Silence:
    def open(self, story: Story) -> None:
        """Nothing is shown."""

    def add(self, lines: list[Line]) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing was opened."""


def told(line: Line) -> list[str]:
    """A line of the story as lines of text, indented by its depth and named below the root."""
    sign = line.mark.value[0]
    name = f"{line.agent} " if line.depth and line.mark is not Mark.START else ""
    lead = INDENT * line.depth + (f"{sign} {name}" if sign else "")
    if line.mark is Mark.TEXT:
        lead = INDENT * line.depth + (f"{line.agent}: " if line.depth else "")
    first, *rest = line.text.rstrip().split("\n")
    return [lead + first, *(INDENT * line.depth + each for each in rest)]
