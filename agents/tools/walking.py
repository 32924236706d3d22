"""Walking the workspace: which files there are below a folder, and which a glob pattern names.

The walk opens each folder relative to the workspace without following a link, so it cannot leave
it nor go round in circles. It is bounded in entries, depth and time; what stopped it is told, so
that a tool can say that its answer is not complete.
"""

import fnmatch
import re
import time
from collections.abc import Iterator
from functools import lru_cache

from agents.tools.confine import MAX_DEPTH, Entry, Kind, Parts, Workspace
from plugins.errors import ToolError

MAX_ENTRIES = 100_000
MAX_SECONDS = 20.0
MAX_ALTERNATIVES = 64

_BRACES = re.compile(r"\{([^{}]*)\}")


class Walk:
    """An iterable over everything below `start`, folders before what is in them, by name.

    `.git` folders are named but not entered unless the walk starts inside one. `incomplete` says
    afterwards why something is missing.
    """

    def __init__(self, workspace: Workspace, start: Parts) -> None:
        self._workspace = workspace
        self._start = start
        self.incomplete = ""

    def __iter__(self) -> Iterator[tuple[Parts, Entry]]:
        deadline = time.monotonic() + MAX_SECONDS
        seen = 0
        levels = [self._level(self._start)]
        while levels:
            parts, entries = levels[-1]
            entry = next(entries, None)
            if entry is None:
                levels.pop()
                continue
            seen += 1
            if seen > MAX_ENTRIES or time.monotonic() > deadline:
                self.incomplete = f"only the first {seen - 1} entries were looked at"
                return
            below = (*parts, entry.name)
            yield below, entry
            if entry.kind is not Kind.FOLDER or entry.name == ".git":
                continue
            if len(below) >= MAX_DEPTH:
                self.incomplete = f"folders more than {MAX_DEPTH} deep were left out"
                continue
            try:
                levels.append(self._level(below))
            except ToolError as error:
                self.incomplete = f"a folder was left out: {error}"

    def _level(self, parts: Parts) -> tuple[Parts, Iterator[Entry]]:
        return parts, iter(self._workspace.entries(parts))

    @property
    def note(self) -> list[str]:
        return [f"[incomplete: {self.incomplete}]"] if self.incomplete else []


def files_below(walk: Walk, include: str) -> Iterator[tuple[Parts, Entry]]:
    """Yield the regular files of a walk; with `include`, those it matches by path or by name."""
    pattern = Glob(include) if include else None
    for parts, entry in walk:
        if entry.kind is Kind.FILE and (
            pattern is None or pattern.matches(parts) or pattern.matches(parts[-1:])
        ):
            yield parts, entry


class Glob:
    """A compiled pattern: `*`, `?`, `[a-z]`, `{one,two}` in a name, `**` for any folders."""

    def __init__(self, pattern: str) -> None:
        if pattern.startswith("/") or ".." in pattern.split("/") or "\0" in pattern:
            raise ToolError(
                f"The pattern {pattern[:120]!r} leaves the workspace.",
                remedy="Write it relative to the workspace, such as src/**/*.py.",
            )
        self._alternatives = [
            tuple(name for name in plain.split("/") if name not in ("", "."))
            for plain in _expanded(pattern)
        ]

    def matches(self, parts: Parts) -> bool:
        return any(_matches(alternative, parts) for alternative in self._alternatives)


def _expanded(pattern: str) -> list[str]:
    """Write `{a,b}` out, innermost first, to a bounded number of plain patterns."""
    waiting, plain = [pattern], []
    while waiting:
        current = waiting.pop()
        found = _BRACES.search(current)
        if found is None:
            plain.append(current)
        else:
            head, tail = current[: found.start()], current[found.end() :]
            waiting.extend(f"{head}{choice}{tail}" for choice in found[1].split(","))
        if len(waiting) + len(plain) > MAX_ALTERNATIVES:
            raise ToolError(
                f"The pattern stands for more than {MAX_ALTERNATIVES} alternatives.",
                remedy="Use fewer braces.",
            )
    return plain


@lru_cache(maxsize=512)
def _name_pattern(name: str) -> re.Pattern[str]:
    # fnmatch writes each star as an atomic group, so matching does not backtrack between stars.
    return re.compile(fnmatch.translate(name))


def _matches(pattern: Parts, parts: Parts) -> bool:
    """Match names one by one; `reachable` holds the pattern positions possible so far, so the
    work is at most len(pattern) x len(parts)."""
    reachable = _closure(pattern, {0})
    for name in parts:
        reachable = _closure(
            pattern,
            {
                position if pattern[position] == "**" else position + 1
                for position in reachable
                if position < len(pattern)
                and (pattern[position] == "**" or _name_pattern(pattern[position]).match(name))
            },
        )
        if not reachable:
            return False
    return len(pattern) in reachable


def _closure(pattern: Parts, positions: set[int]) -> set[int]:
    """Add the positions that follow a `**`, which may stand for no folder at all."""
    closed = set(positions)
    for position in sorted(positions):
        at = position
        while at < len(pattern) and pattern[at] == "**":
            at += 1
            closed.add(at)
    return closed
