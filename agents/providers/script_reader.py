"""YAML with places: every value of a script remembers the line and column it came from.

Reads the JSON-like core of YAML 1.2: mappings, lists, texts, numbers, true, false, null. What
makes YAML surprising or dangerous is refused: duplicate keys, tags, aliases, several documents,
unbounded size or depth.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from agents.errors import ScriptError

MAX_SCRIPT_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 32

# libyaml's parser where it was compiled in; the events are the same.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, object] = {"": None, "~": None} | {
    form: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for form in (word, word.capitalize(), word.upper())
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and where it stands. `value` of a mapping is a dict from key text to Placed, of a
    list a list of Placed, else a scalar."""

    value: Any
    line: int
    column: int

    def error(self, what: str, remedy: str) -> ScriptError:
        return script_error(self.line, self.column, what, remedy)

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: inner.plain() for key, inner in self.value.items()}
        if isinstance(self.value, list):
            return [inner.plain() for inner in self.value]
        return self.value

    def mapping(self, what: str, keys: Iterable[str]) -> dict[str, "Placed"]:
        """Return the mapping, having refused every key that is not one of `keys`."""
        if not isinstance(self.value, dict):
            raise self.error(f"{what} must be a mapping", f"Write `key: value` lines for {what}.")
        known = list(keys)
        for key, inner in self.value.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"Did you mean `{close[0]}`?" if close else f"Known: {', '.join(known)}."
                raise inner.error(f"{what} has no key `{key[:60]}`", hint)
        return self.value

    def items(self, what: str) -> "list[Placed]":
        if not isinstance(self.value, list):
            raise self.error(f"{what} must be a list", "Begin each entry with `- `.")
        return self.value

    def text(self, what: str) -> str:
        if not isinstance(self.value, str):
            raise self.error(f"{what} must be a text", "Put it in quotes.")
        return self.value

    def number(self, what: str, *, top: float) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise self.error(f"{what} must be a number", "Write digits without quotes or unit.")
        if not 0 <= self.value <= top:
            raise self.error(f"{what} must be from 0 to {top:g}", "Choose a number in that range.")
        return self.value

    def whole(self, what: str, *, top: int) -> int:
        value = self.number(what, top=top)
        if not isinstance(value, int):
            raise self.error(f"{what} must be a whole number", "Leave out the fraction.")
        return value


def script_error(line: int, column: int, what: str, remedy: str) -> ScriptError:
    return ScriptError(
        f"Script, line {line}, column {column}: {what}.",
        remedy=remedy,
        detail={"line": line, "column": column},
    )


def read_script(text: str) -> Placed:
    """Return the document in `text`; raise ScriptError with place and remedy."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise script_error(line, 1, "half a character", "Save the script as UTF-8.") from None
    if size > MAX_SCRIPT_BYTES:
        raise script_error(1, 1, f"it is larger than {MAX_SCRIPT_BYTES} bytes", "Split the script.")
    try:
        return _Reader(text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = f"this is not YAML: {error.problem or error.context}"
        raise script_error(line, column, what, "Check the indentation and the quotes.") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = "a character that YAML forbids"
        raise script_error(line, 1, what, "Remove control characters.") from None


class _Reader:
    """Builds values from parser events; depth and number are checked before anything is built."""

    def __init__(self, text: str) -> None:
        # Events come lazily, so that a hostile text is given up early.
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._nodes = 0

    def document(self) -> Placed:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            raise script_error(1, 1, "it is empty", "Write at least `steps:` with one step.")
        root = self._value(next(self._events), 1)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise self._at(event, "a second document begins", "Keep one script in one text.")
        return root

    def _value(self, event: Any, depth: int) -> Placed:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._at(event, f"more than {MAX_NODES} values", "Split the script.")
        if depth > MAX_DEPTH:
            raise self._at(event, f"deeper than {MAX_DEPTH} levels", "Nest less.")
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise self._at(event, "anchors and aliases are not allowed", "Write the value again.")
        if event.tag and event.tag != "!":
            raise self._at(event, f"the tag {event.tag[:40]} is not allowed", "Remove the tag.")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.ScalarEvent):
            return Placed(_scalar(event), line, column)
        if isinstance(event, yaml.SequenceStartEvent):
            entries: list[Placed] = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                entries.append(self._value(inner, depth + 1))
            return Placed(entries, line, column)
        mapping: dict[str, Placed] = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            if not isinstance(inner, yaml.ScalarEvent):
                raise self._at(inner, "a key must be plain text", "Write `name: value`.")
            key = self._value(inner, depth + 1)
            if inner.value in mapping:
                first = mapping[inner.value].line
                what = f"the key `{inner.value[:60]}` stands twice (first near line {first})"
                raise key.error(what, "Remove one of them.")
            value = self._value(next(self._events), depth + 1)
            # A value's complaint is best placed at its key when it begins on a later line.
            mapping[inner.value] = Placed(value.value, key.line, key.column)
        return Placed(mapping, line, column)

    def _at(self, event: Any, what: str, remedy: str) -> ScriptError:
        mark = event.start_mark
        return script_error(mark.line + 1, mark.column + 1, what, remedy)


def _scalar(event: Any) -> object:
    text: str = event.value
    if not event.implicit[0]:  # quoted, so a text whatever it looks like
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
