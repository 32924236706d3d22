"""`${…}` in scripts: a few named values of the conversation, put in once and never read again.

There is no expression language: a name, and for results a dotted path into their JSON.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.errors import ProviderRequestError
from agents.providers.script_reader import Placed

MAX_VALUE_CHARS = 65_536

_MARK = re.compile(r"\$\$|\$\{([^{}]{0,200})\}")
_NAMES = ("input", "agent", "step", "model", "tools", "last_result")
_RESULT_NAME = re.compile(r"(last_result|result:[^.{}]+)((?:\.[^.{}]+)*)")


@dataclass(frozen=True, slots=True)
class Hole:
    """A place to fill: `name` is `input` … or `last_result` / `result:TOOL`, `path` goes inside."""

    name: str
    path: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Template:
    """Text pieces and holes in order."""

    pieces: tuple[str | Hole, ...]

    @property
    def fixed(self) -> str | None:
        """The text, when nothing has to be put in."""
        pieces = self.pieces
        if not pieces:
            return ""
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], str) else None

    def render(self, lookup: Callable[[str], str | None]) -> str:
        """Return the text; `lookup` gives the value of a name, None when there is none yet."""
        return "".join(
            piece if isinstance(piece, str) else _as_text(_fill(piece, lookup))
            for piece in self.pieces
        )

    def value(self, lookup: Callable[[str], str | None]) -> Any:
        """Return the text, or the JSON value itself where the whole is one path into a result."""
        if len(self.pieces) == 1 and isinstance(self.pieces[0], Hole) and self.pieces[0].path:
            return _fill(self.pieces[0], lookup)
        return self.render(lookup)


def compile_value(place: Placed, value: Any) -> tuple[Any, bool]:
    """Return `value` with every text that has holes as a Template, and whether there was one."""
    if isinstance(value, str):
        template = _compile_text(place, value)
        fixed = template.fixed
        return (template, True) if fixed is None else (fixed, False)
    if isinstance(value, dict):
        pairs = {key: compile_value(place, inner) for key, inner in value.items()}
        return (
            {key: compiled for key, (compiled, _) in pairs.items()},
            any(found for _, found in pairs.values()),
        )
    if isinstance(value, list):
        entries = [compile_value(place, inner) for inner in value]
        return [compiled for compiled, _ in entries], any(found for _, found in entries)
    return value, False


def render_value(value: Any, lookup: Callable[[str], str | None]) -> Any:
    """Return compiled data with every Template filled."""
    if isinstance(value, Template):
        return value.value(lookup)
    if isinstance(value, dict):
        return {key: render_value(inner, lookup) for key, inner in value.items()}
    if isinstance(value, list):
        return [render_value(inner, lookup) for inner in value]
    return value


def _compile_text(place: Placed, text: str) -> Template:
    pieces: list[str | Hole] = []
    end = 0
    for mark in _MARK.finditer(text):
        if mark.start() > end:
            pieces.append(text[end : mark.start()])
        end = mark.end()
        pieces.append("$" if mark.group() == "$$" else _hole(place, mark.group(1).strip()))
    if end < len(text):
        pieces.append(text[end:])
    if all(isinstance(piece, str) for piece in pieces):
        return Template(("".join(map(str, pieces)),) if pieces else ())
    return Template(tuple(pieces))


def _hole(place: Placed, name: str) -> Hole:
    if name in _NAMES:
        return Hole(name, (), place.line)
    if found := _RESULT_NAME.fullmatch(name):
        path = tuple(found.group(2).split(".")[1:])
        return Hole(found.group(1), path, place.line)
    known = ", ".join(_NAMES)
    raise place.error(
        f"`${{{name}}}` names nothing",
        f"Known: {known}, last_result.path, result:TOOL, result:TOOL.path; `$$` is a plain `$`.",
    )


def _fill(hole: Hole, lookup: Callable[[str], str | None]) -> Any:
    text = lookup(hole.name)
    if text is None:
        raise ProviderRequestError(
            f"Script, near line {hole.line}: `${{{hole.name}}}` has no value, because no such "
            "tool has answered yet.",
            remedy="Use it only in a step that comes after the tool's result.",
        )
    if not hole.path:
        return text[:MAX_VALUE_CHARS]
    value: Any = None
    try:
        value = msgspec.json.decode(text)
        for key in hole.path:
            value = value[int(key)] if isinstance(value, list) else value[key]
    except (msgspec.DecodeError, UnicodeError, RecursionError, LookupError, TypeError, ValueError):
        raise ProviderRequestError(
            f"Script, near line {hole.line}: the result has no `{'.'.join(hole.path)}`.",
            remedy="Check the path against the tool's result, which must be JSON.",
        ) from None
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
