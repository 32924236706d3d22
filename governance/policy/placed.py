"""YAML as data with places, and every mistake collected instead of the first.

Reads the JSON-like core of YAML 1.2: mappings with text keys, lists, texts, numbers, true, false,
null. What is surprising or dangerous is a mistake with its place: duplicate keys, tags, aliases,
several documents, unbounded size or depth.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from governance.errors import PolicyInvalidError

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 32

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, object] = {"": None, "~": None} | {
    form: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for form in (word, word.capitalize(), word.upper())
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mistake:
    """What is wrong at one place, and what to write instead."""

    line: int
    column: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and where it stands. `value` of a mapping is a dict from key text to Placed, of a
    list a list of Placed, else a scalar; a mapping's values know the place of their key."""

    value: Any
    line: int
    column: int
    key_line: int = 0
    key_column: int = 0

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: inner.plain() for key, inner in self.value.items()}
        if isinstance(self.value, list):
            return [inner.plain() for inner in self.value]
        return self.value


@dataclass(slots=True)
class Mistakes:
    """The mistakes of one text, found so far."""

    found: list[Mistake] = field(default_factory=list)

    def add(self, place: Placed, what: str, remedy: str) -> None:
        self.found.append(Mistake(line=place.line, column=place.column, what=what, remedy=remedy))

    def add_at_key(self, place: Placed, what: str, remedy: str) -> None:
        line, column = place.key_line or place.line, place.key_column or place.column
        self.found.append(Mistake(line=line, column=column, what=what, remedy=remedy))

    def mapping(self, place: Placed, what: str, keys: Iterable[str]) -> dict[str, Placed]:
        """Return the known keys of a mapping; others are mistakes."""
        if not isinstance(place.value, dict):
            self.add(place, f"{what} must be a mapping", "Write `key: value` lines.")
            return {}
        known = list(keys)
        for key, inner in place.value.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"Did you mean `{close[0]}`?" if close else f"Known: {', '.join(known)}."
                self.add_at_key(inner, f"{what} has no key `{key[:60]}`", hint)
        return {key: inner for key, inner in place.value.items() if key in known}

    def raise_any(self, subject: str) -> None:
        """Raise PolicyInvalidError with everything that was found, if anything was."""
        if not self.found:
            return
        ordered = sorted(set(self.found))
        first = ordered[0]
        more = f" And {len(ordered) - 1} more." if len(ordered) > 1 else ""
        raise PolicyInvalidError(
            f"{subject}, line {first.line}, column {first.column}: {first.what}.{more}",
            remedy=first.remedy,
            fields={
                f"line {each.line}, column {each.column}": [
                    f"{other.what}. {other.remedy}"
                    for other in ordered
                    if (other.line, other.column) == (each.line, each.column)
                ]
                for each in ordered
            },
            detail={
                "mistakes": [
                    {
                        "line": each.line,
                        "column": each.column,
                        "what": each.what,
                        "remedy": each.remedy,
                    }
                    for each in ordered
                ]
            },
        )


def read(text: str, mistakes: Mistakes) -> Placed:
    """Return the one document in `text`; an empty mapping when nothing could be read."""
    nothing = Placed({}, 1, 1)
    # A lone surrogate has no UTF-8 form; YAML calls it a forbidden character below.
    if len(text.encode(errors="replace")) > MAX_BYTES:
        mistakes.add(nothing, f"it is larger than {MAX_BYTES} bytes", "Split it.")
        return nothing
    try:
        return _Reader(text, mistakes).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Placed(None, mark.line + 1, mark.column + 1) if mark else nothing
        what = f"this is not YAML: {error.problem or error.context}"
        mistakes.add(place, what, "Check the indentation and the quotes.")
    except yaml.reader.ReaderError as error:
        place = Placed(None, text.count("\n", 0, error.position) + 1, 1)
        mistakes.add(place, "a character that YAML forbids", "Remove it, and save as UTF-8.")
    except UnicodeEncodeError as error:
        place = Placed(None, text.count("\n", 0, error.start) + 1, 1)
        mistakes.add(place, "half a character", "Save the file as UTF-8.")
    except _GiveUpError:
        pass
    return nothing


class _GiveUpError(Exception):
    """The text is so large or so strange that reading on has no use."""


class _Reader:
    """Builds values from parser events; depth and number are checked before anything is built."""

    def __init__(self, text: str, mistakes: Mistakes) -> None:
        # Events come lazily, so that a hostile text is given up early.
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._mistakes = mistakes
        self._nodes = 0

    def document(self) -> Placed:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            self._mistakes.add(Placed(None, 1, 1), "it is empty", "Write at least `rules:`.")
            raise _GiveUpError
        root = self._value(next(self._events), 1)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._complain(event, "a second document begins", "Keep one in one file.")
                break
        return root

    def _value(self, event: Any, depth: int) -> Placed:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._complain(event, f"more than {MAX_NODES} values", "Split the file.")
            raise _GiveUpError
        if depth > MAX_DEPTH:
            self._complain(event, f"deeper than {MAX_DEPTH} levels", "Nest less.")
            raise _GiveUpError
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            self._complain(event, "anchors and aliases are not allowed", "Write the value again.")
            if isinstance(event, yaml.AliasEvent):
                return Placed(None, line, column)
        if event.tag and event.tag != "!":
            self._complain(event, f"the tag {event.tag[:40]} is not allowed", "Remove the tag.")
        if isinstance(event, yaml.ScalarEvent):
            return Placed(_scalar(event), line, column)
        if isinstance(event, yaml.SequenceStartEvent):
            entries: list[Placed] = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                entries.append(self._value(inner, depth + 1))
            return Placed(entries, line, column)
        return Placed(self._mapping(depth), line, column)

    def _mapping(self, depth: int) -> dict[str, Placed]:
        mapping: dict[str, Placed] = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._value(inner, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if not isinstance(inner, yaml.ScalarEvent):
                self._complain(inner, "a key must be plain text", "Write `name: value`.")
            elif inner.value in mapping:
                first = mapping[inner.value].key_line
                what = f"the key `{inner.value[:60]}` stands twice (first in line {first})"
                self._complain(inner, what, "Remove one of them.")
            else:
                mapping[inner.value] = Placed(
                    value.value, value.line, value.column, key.line, key.column
                )
        return mapping

    def _complain(self, event: Any, what: str, remedy: str) -> None:
        mark = event.start_mark
        self._mistakes.add(Placed(None, mark.line + 1, mark.column + 1), what, remedy)


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
