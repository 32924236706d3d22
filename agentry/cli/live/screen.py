"""The story on a terminal: finished lines scroll up, open runs stay at the bottom and move."""

import time
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from agentry.cli.live.story import Line, Mark, Story, View, figures
from agentry.cli.terminal import console, plain

_INDENT = 3
_REFRESHES_PER_SECOND = 10
_LONGEST_PARTIAL_LINES = 8


class Screen:
    def __init__(self, stream: TextIO) -> None:
        self._console: Console = console(stream)
        self._story = Story()
        self._started = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            get_renderable=self._bottom,
            console=self._console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def open(self, story: Story) -> None:
        self._story = story
        self._live.start()

    def add(self, lines: list[Line]) -> None:
        for line in lines:
            self._console.print(_rendered(line))

    def close(self) -> None:
        self._live.stop()

    def _bottom(self) -> RenderableType:
        views = [view for view in list(self._story.views.values()) if not view.is_over]
        budget = max(1, min(_LONGEST_PARTIAL_LINES, self._console.height - 2 * len(views) - 2))
        parts: list[RenderableType] = []
        for view in views:
            if view.partial.strip():
                tail = plain(view.partial).rstrip().split("\n")[-budget:]
                parts.append(_padded(Text("\n".join(tail)), view.depth))
            parts.append(self._status(view))
        return Group(*parts)

    def _status(self, view: View) -> RenderableType:
        seconds = int(time.monotonic() - self._started)
        state = f"{view.state} ({view.wait_kind})" if view.wait_kind else view.state
        text = Text()
        text.append(view.agent, style="bold")
        text.append(f"  {state}  {figures(view)} · {seconds // 60}:{seconds % 60:02}", style="dim")
        for pending in list(view.pending.values())[:3]:
            text.append(f"\n  → {pending}", style="cyan")
        row = Table.grid(padding=(0, 1))
        row.add_row(self._spinner, text)
        return _padded(row, view.depth)


def _rendered(line: Line) -> RenderableType:
    sign, style = line.mark.value
    text = Text()
    if sign:
        text.append(f"{sign} ", style=style)
    if line.depth and line.mark is not Mark.START:
        text.append(f"{line.agent} ", style="magenta")
    body_style = style if line.mark in (Mark.START, Mark.NOTE, Mark.BAD) else ""
    text.append(line.text.rstrip(), style=body_style)
    return _padded(text, line.depth)


def _padded(inner: RenderableType, depth: int) -> RenderableType:
    return Padding(inner, (0, 0, 0, _INDENT * depth)) if depth else inner
