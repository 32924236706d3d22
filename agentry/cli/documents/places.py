"""YAML as data with places: where in which file each value stands.

The JSON-like core of YAML 1.2: mappings with text keys, lists, texts, numbers, true, false, null.
What is surprising or dangerous is refused with its place: duplicate keys, tags, aliases, anything
unbounded. Words like `no` and numbers like `012` keep the meaning a reader sees.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 4 * 1024 * 1024
_MAX_NODES = 100_000
_MAX_DEPTH = 40
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One sentence about one place."""

    place: Place
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and where it stands: `value` is a dict of Placed, a list of Placed, or a scalar.

    `keys` has the place of each key of a mapping.
    """

    value: Any
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)

    def plain(self) -> Any:
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.value.items()}
        if isinstance(self.value, list):
            return [each.plain() for each in self.value]
        return self.value

    def get(self, key: str) -> "Placed | None":
        return self.value.get(key) if isinstance(self.value, dict) else None

    def text(self, key: str) -> str:
        """The text under a key, empty when it is missing or something else."""
        found = self.get(key)
        return found.value if found is not None and isinstance(found.value, str) else ""

    def items(self) -> "list[Placed]":
        return self.value if isinstance(self.value, list) else []

    def at(self, path: Iterable[str]) -> Place:
        """The place of the deepest part of a path that exists."""
        here, place = self, self.place
        for step in path:
            if isinstance(here.value, dict) and step in here.value:
                place, here = here.keys.get(step, here.place), here.value[step]
            elif isinstance(here.value, list) and step.isdigit() and int(step) < len(here.value):
                here = here.value[int(step)]
                place = here.place
            else:
                break
        return place


class Unreadable(Exception):  # noqa: N818  carries findings, is not shown itself
    """`sound` is what could be read all the same: documents without a finding of their own."""

    def __init__(self, findings: list[Finding], sound: Sequence[Any] = ()) -> None:
        super().__init__("; ".join(str(each) for each in findings))
        self.findings = findings
        self.sound = sound


def read_yaml(text: str, file: str) -> list[Placed]:
    """Every document of a file that is not empty. Raises `Unreadable` with all that is wrong."""
    if len(text) > MAX_BYTES:
        raise Unreadable([Finding(Place(file, 1, 1), f"larger than {MAX_BYTES} bytes.")])
    reader = _Reader(file)
    try:
        documents = [each for each in reader.documents(text) if each.value is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        reader.findings.append(Finding(place, f"{error.problem or 'not YAML'}."))
        documents = []
    except yaml.YAMLError as error:
        reader.findings.append(Finding(Place(file, 1, 1), f"{error}."))
        documents = []
    except RecursionError:
        reader.findings.append(Finding(Place(file, 1, 1), "nested too deeply."))
        documents = []
    if reader.findings:
        raise Unreadable(reader.findings)
    return documents


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0
        self.findings: list[Finding] = []

    def documents(self, text: str) -> Iterator[Placed]:
        depth = 0
        events: list[Any] = []
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                self._bound(event, depth)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if isinstance(event, yaml.DocumentStartEvent):
                events = []
            elif isinstance(event, yaml.DocumentEndEvent):
                if events:
                    stream = iter(events)
                    yield self._value(next(stream), stream)
            elif not isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent):
                events.append(event)

    def _bound(self, event: Any, depth: int) -> None:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise yaml.MarkedYAMLError(
                problem="nested too deeply or too large", problem_mark=event.start_mark
            )

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _complain(self, place: Place, sentence: str) -> None:
        self.findings.append(Finding(place, sentence))

    def _value(self, event: Any, rest: Iterator[Any]) -> Placed:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            self._complain(place, f"the alias *{event.anchor} is not supported; write it out.")
            return Placed(None, place)
        if getattr(event, "tag", None) is not None:
            self._complain(place, f"the tag {event.tag} is not supported; write a plain value.")
        if isinstance(event, yaml.SequenceStartEvent):
            return Placed(self._list(rest), place)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place, rest)
        is_plain = event.implicit[0] and event.style in (None, "")
        return Placed(_scalar(event.value) if is_plain else event.value, place)

    def _list(self, rest: Iterator[Any]) -> list[Placed]:
        found = []
        for event in rest:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, rest))
        return found

    def _mapping(self, place: Place, rest: Iterator[Any]) -> Placed:
        values: dict[str, Placed] = {}
        keys: dict[str, Place] = {}
        for event in rest:
            if isinstance(event, yaml.MappingEndEvent):
                break
            where = self._place(event)
            if isinstance(event, yaml.ScalarEvent):
                key = event.value
            else:
                self._value(event, rest)
                self._complain(where, "a key must be text.")
                key = ""
            value = self._value(next(rest), rest)
            if key in values:
                self._complain(where, f"{key!r} is given twice, first at line {keys[key].line}.")
            elif key == "<<":
                self._complain(where, "merging with << is not supported; write it out.")
            else:
                values[key], keys[key] = value, where
        return Placed(values, place, keys)


def _scalar(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """` Did you mean …?` when something known is close, else what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(names)}."
