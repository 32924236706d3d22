"""What happened to each part of an imported file."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agentry.cli.documents.places import Place
from agentry.cli.documents.reading import API_VERSION


class Fate(StrEnum):
    KEPT = "kept"
    CHANGED = "changed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, order=True)
class Note:
    place: Place
    fate: Fate
    sentence: str


@dataclass(slots=True)
class Translation:
    """The documents so far, and the notes that explain them."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def add(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        self.documents.append(
            {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
        )

    def names(self, kind: str) -> list[str]:
        return [each["metadata"]["name"] for each in self.documents if each["kind"] == kind]

    def kept(self, place: Place, sentence: str) -> None:
        self.notes.append(Note(place, Fate.KEPT, sentence))

    def changed(self, place: Place, sentence: str) -> None:
        self.notes.append(Note(place, Fate.CHANGED, sentence))

    def unsupported(self, place: Place, sentence: str) -> None:
        self.notes.append(Note(place, Fate.UNSUPPORTED, sentence))
