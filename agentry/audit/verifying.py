"""Checking an audit file line by line: the first place where it does not hold is named.

What is proved: between two checkpoints the key has signed, no entry was changed, removed, added or
moved; and the file is what the site gave out. What is not: entries after the last checkpoint could
have been made up by somebody who can write to the database *and* has rewritten everything after
them, so keep checkpoints of your own and give them here.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentry.audit.documents import (
    FILE_FORMAT,
    GENESIS,
    PublicKeys,
    UnreadableError,
    hash_of,
    parse,
)


class BrokenError(Exception):
    """The first place that does not hold: `sequence` is the entry's, where one can be named."""

    def __init__(self, what: str, *, line: int, sequence: int | None = None) -> None:
        place = f"line {line}" if sequence is None else f"entry {sequence} (line {line})"
        super().__init__(f"Broken at {place}: {what}.")
        self.what = what
        self.line = line
        self.sequence = sequence


@dataclass(slots=True)
class Report:
    """What a file that holds has shown. `signed` is the last entry under a checkpoint."""

    chain: str = ""
    workspace: str | None = None
    first: int = 1
    last: int = 0
    checkpoints: int = 0
    signed: int = 0
    exported_at: str = ""
    until: str | None = None
    entries: int = 0


def verify(
    lines: Iterable[bytes], keys: PublicKeys, *, kept: Iterable[Mapping[str, Any]] = ()
) -> Report:
    """Check a whole file; `kept` are checkpoints of the chain one has kept oneself.

    Raises:
        BrokenError: it does not hold.
    """
    checker = _Checker(keys, list(kept))
    for number, line in enumerate(lines, start=1):
        checker.take(number, line)
    return checker.finished()


def checkpoints_of(lines: Iterable[bytes], keys: PublicKeys) -> list[dict[str, Any]]:
    """Return the checkpoints among the lines of a file kept from an earlier time.

    Raises:
        BrokenError: one of them cannot be read or is not signed with these keys.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            document = parse(line)
        except UnreadableError as error:
            raise BrokenError(str(error), line=number) from None
        if document.get("type") == "checkpoint":
            if complaint := keys.complaint(document):
                raise BrokenError(f"of the kept checkpoint, {complaint}", line=number)
            found.append(document)
    return found


@dataclass(slots=True)
class _Position:
    """How far the chain has been followed. `hash` is None before anything is known of it."""

    sequence: int = 0
    hash: str | None = None
    at: str = ""


@dataclass(slots=True)
class _Checker:
    keys: PublicKeys
    kept: list[Mapping[str, Any]]
    report: Report = field(default_factory=Report)
    position: _Position = field(default_factory=_Position)
    header: dict[str, Any] = field(default_factory=dict)
    whole: Any = field(default_factory=hashlib.sha256)
    line: int = 0
    is_ended: bool = False

    def take(self, number: int, line: bytes) -> None:
        self.line = number
        if self.is_ended:
            raise self._broken("something stands after the end")
        try:
            document = parse(line)
        except UnreadableError as error:
            # What a line that cannot be read was meant to be is told by its place.
            raise self._broken(str(error), self._next) from None
        kind = document.get("type")
        if not self.header:
            self._header(document)
        elif kind == "entry":
            self._entry(document)
        elif kind == "checkpoint":
            self._checkpoint(document)
        elif kind == "end":
            self._end(document)
        else:
            raise self._broken(f"there are no lines of the type {kind!r}")
        self.whole.update(line)

    def finished(self) -> Report:
        if not self.header:
            raise self._broken("the file is empty")
        if not self.is_ended:
            raise self._broken(
                "the file was cut off: its end is missing", self._next, line=self.line + 1
            )
        return self.report

    @property
    def _next(self) -> int | None:
        following = self.position.sequence + 1
        return following if self.header and following <= self.report.last else None

    # --- lines --------------------------------------------------------------------------------

    def _header(self, header: dict[str, Any]) -> None:
        first, last = header.get("first"), header.get("last")
        if header.get("type") != "header" or header.get("format") != FILE_FORMAT:
            raise self._broken(f"this is not a file of the format {FILE_FORMAT}")
        if type(first) is not int or type(last) is not int or not 1 <= first <= last + 1:
            raise self._broken("the header does not say which entries there are")
        self.header = header
        self.report = Report(
            chain=str(header.get("chain")),
            workspace=header.get("workspace"),
            first=first,
            last=last,
            exported_at=str(header.get("at")),
            until=header.get("until"),
        )
        self.position = _Position(first - 1, GENESIS if first == 1 else None)
        self.kept = [one for one in self.kept if one.get("chain") == self.report.chain]
        self._compare_kept()

    def _entry(self, entry: dict[str, Any]) -> None:
        sequence, expected = entry.get("sequence"), self.position.sequence + 1
        self._same_chain(entry, expected)
        if type(sequence) is not int or sequence != expected:
            told = "it is missing" if expected <= self.report.last else "there should be no more"
            raise self._broken(f"{told}; entry {sequence} stands in its place", expected)
        if entry.get("hash") != hash_of(entry):
            raise self._broken("it was changed after it was written", sequence)
        if self.position.hash is not None and entry.get("previous_hash") != self.position.hash:
            raise self._broken(
                f"it does not follow entry {sequence - 1}: one of the two was replaced", sequence
            )
        if str(entry.get("at")) < self.position.at:
            raise self._broken("it is older than the entry before it", sequence)
        self.position = _Position(sequence, entry["hash"], str(entry.get("at")))
        self.report.entries += 1
        self._compare_kept()

    def _checkpoint(self, checkpoint: dict[str, Any]) -> None:
        sequence = checkpoint.get("sequence")
        self._same_chain(checkpoint, sequence)
        if complaint := self.keys.complaint(checkpoint):
            raise self._broken(f"of the checkpoint here, {complaint}", sequence)
        self._compare(checkpoint)
        self.report.checkpoints += 1
        self.report.signed = self.position.sequence

    def _end(self, end: dict[str, Any]) -> None:
        self._same_chain(end, None)
        self._require_last()
        if end.get("last") != self.report.last or end.get("digest") != self.whole.hexdigest():
            raise self._broken("the file is not the one that was signed: a line was changed")
        if complaint := self.keys.complaint(end):
            raise self._broken(f"of the end of the file, {complaint}")
        beyond = [one for one in self.kept if one["sequence"] > self.report.last]
        if beyond and self.header.get("until") is None:
            raise self._broken(
                f"it is missing: a checkpoint you kept signs entry {beyond[0]['sequence']}",
                self.report.last + 1,
            )
        self.is_ended = True

    # --- rules --------------------------------------------------------------------------------

    def _compare(self, checkpoint: Mapping[str, Any]) -> None:
        """Hold the chain as followed so far against a signed state of it."""
        sequence, here = checkpoint.get("sequence"), self.position
        if type(sequence) is not int or sequence < here.sequence:
            raise self._broken("a checkpoint stands in the wrong place", here.sequence)
        if sequence > here.sequence:
            raise self._broken(
                f"it is missing: a checkpoint signs entry {sequence}", here.sequence + 1
            )
        if here.hash is None:
            here.hash = str(checkpoint.get("hash"))
        if checkpoint.get("hash") != here.hash:
            since = f"after entry {self.report.signed}" if self.report.signed else "before it"
            raise self._broken(
                f"another hash of it was signed: it, or entries {since}, were rewritten", sequence
            )

    def _compare_kept(self) -> None:
        for checkpoint in self.kept:
            if checkpoint["sequence"] == self.position.sequence:
                self._compare(checkpoint)
                self.report.signed = max(self.report.signed, self.position.sequence)

    def _require_last(self) -> None:
        if self.position.sequence < self.report.last:
            raise self._broken(
                f"it is missing: the header says that the entries go on to {self.report.last}",
                self.position.sequence + 1,
            )
        wanted = self.header.get("last_hash")
        if wanted is not None and self.report.last and wanted != self.position.hash:
            raise self._broken("it is not the entry that was appended last", self.report.last)

    def _same_chain(self, document: dict[str, Any], sequence: int | None) -> None:
        if document.get("chain") != self.report.chain:
            raise self._broken("it belongs to another chain", sequence)

    def _broken(
        self, what: str, sequence: int | None = None, *, line: int | None = None
    ) -> BrokenError:
        return BrokenError(what, line=line or self.line, sequence=sequence)
