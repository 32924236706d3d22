"""Checking a run's evidence on this machine alone: the first thing that does not hold is named.

What is proved: the file is what the site gave out; every call ran with the arguments its approval
was given for, and in the place it was given for; what was approved was decided by as many people as
it took; every text has the digest it was pinned or bound under; nothing of the trace, the history
or the texts they refer to is left out; the entries of the audit chain have the hashes the chain
has. Hold those against an export of the chain (`chain`) to see that it has them still.
"""

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agentry.audit.documents import PublicKeys, UnreadableError, canonical, hash_of, parse
from agentry.audit.verifying import BrokenError

FILE_FORMAT = "agentry-evidence/1"
_NOT_BEGUN = frozenset({"planned", "waiting", "approved", "denied", "expired", "cancelled"})
_BY_TIME = "expiry"  # nobody decided, and the policy says what that means
_KINDS = (
    "run", "snapshot", "policy", "message", "call", "approval", "grant_use", "event", "blob",
    "audit",
)  # fmt: skip
_OF_CALLS = "tool_call"


@dataclass(slots=True)
class EvidenceReport:
    """What a file that holds has shown; `counts` are its records by kind."""

    run: str = ""
    workspace: str = ""
    at: str = ""
    runs: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    approved_effects: int = 0
    granted_effects: int = 0
    redacted_calls: int = 0
    is_in_chain: bool = False


@dataclass(slots=True, kw_only=True)
class _Record:
    line: int
    id: str
    run: str | None
    data: dict[str, Any]
    text: str


class _Records:
    """The records of one file by kind and id."""

    def __init__(self) -> None:
        self.by_kind: dict[str, dict[str, _Record]] = {kind: {} for kind in _KINDS}

    def add(self, line: int, document: Mapping[str, Any]) -> None:
        kind, data = document.get("kind"), document.get("data")
        if kind not in self.by_kind or not isinstance(data, dict):
            raise BrokenError(f"there are no records of the kind {kind!r}", line=line)
        record = _Record(
            line=line,
            id=str(document.get("id")),
            run=document.get("run"),
            data=data,
            text=str(document.get("text", "")),
        )
        if record.id in self.by_kind[kind]:
            raise BrokenError(f"the {kind} {record.id} stands twice", line=line)
        self.by_kind[kind][record.id] = record

    def all(self, kind: str) -> Iterator[_Record]:
        yield from self.by_kind[kind].values()

    def get(self, kind: str, id_: object) -> _Record | None:
        return self.by_kind[kind].get(str(id_))


def verify_evidence(
    lines: Iterable[bytes], keys: PublicKeys, *, chain: Iterable[bytes] | None = None
) -> EvidenceReport:
    """Check a whole file; `chain` is an export of the workspace's audit chain, checked before.

    Raises:
        BrokenError: it does not hold.
    """
    header, records, report = _read(lines, keys)
    for check in _CHECKS:
        try:
            check(header, records, report)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BrokenError(f"a record lacks what it must have ({error})", line=1) from None
    if chain is not None:
        _in_chain(records, chain)
        report.is_in_chain = True
    return report


def _read(
    lines: Iterable[bytes], keys: PublicKeys
) -> tuple[dict[str, Any], _Records, EvidenceReport]:
    """Follow the file to its end: every line in its one form, and the end's signature."""
    records, whole, counts = _Records(), hashlib.sha256(), Counter[str]()
    header: dict[str, Any] = {}
    end: dict[str, Any] = {}
    number = 0
    for number, line in enumerate(lines, start=1):
        if end:
            raise BrokenError("something stands after the end", line=number)
        try:
            document = parse(line)
        except UnreadableError as error:
            raise BrokenError(str(error), line=number) from None
        match document.get("type"):
            case "header" if number == 1 and document.get("format") == FILE_FORMAT:
                header = document
            case "record" if header:
                records.add(number, document)
                counts[str(document["kind"])] += 1
            case "end" if header:
                end = document
                continue
            case _:
                raise BrokenError(f"this is no line of the format {FILE_FORMAT}", line=number)
        whole.update(line)
    if not end:
        raise BrokenError("the file was cut off: its end is missing", line=number + 1)
    if end.get("digest") != whole.hexdigest() or end.get("counts") != dict(counts):
        raise BrokenError(
            "the file is not the one that was signed: a line was changed", line=number
        )
    if end.get("run") != header.get("run"):
        raise BrokenError("the end belongs to another run", line=number)
    if complaint := keys.complaint(end):
        raise BrokenError(f"of the end of the file, {complaint}", line=number)
    report = EvidenceReport(
        run=str(header.get("run")),
        workspace=str((header.get("workspace") or {}).get("name")),
        at=str(header.get("at")),
        runs=counts["run"],
        counts=dict(counts),
    )
    return header, records, report


def _runs(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    if [record.id for record in records.all("run")] != header["runs"]:
        raise BrokenError("the runs are not those the header names", line=1)
    for kind in ("message", "call", "approval", "event"):
        for record in records.all(kind):
            if records.get("run", record.run) is None:
                raise BrokenError(f"the {kind} belongs to no run of this file", line=record.line)


def _snapshots(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    for record in records.all("snapshot"):
        workspace = UUID(record.data["workspace"]).bytes
        _digest(record, workspace + record.text.encode(), record.data["digest"], "the snapshot")
    for run in records.all("run"):
        if records.get("snapshot", run.data["snapshot"]) is None:
            raise BrokenError("what the run was started with is missing", line=run.line)


def _policies(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    for record in records.all("policy"):
        _digest(record, record.text.encode(), record.data["digest"], "the policy")


def _history(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    positions: dict[str, list[int]] = defaultdict(list)
    sequences: dict[str, list[int]] = defaultdict(list)
    for message in records.all("message"):
        positions[str(message.run)].append(message.data["position"])
    for event in records.all("event"):
        sequences[str(event.run)].append(event.data["sequence"])
    for run in records.all("run"):
        begin = run.data["prefix"]["messages"]
        end = max(run.data["message_count"], begin)
        if sorted(positions[run.id]) != list(range(begin, end)):
            raise BrokenError("messages of the run are missing or too many", line=run.line)
        if sorted(sequences[run.id]) != list(range(1, run.data["head_sequence"] + 1)):
            raise BrokenError("events of the run are missing or too many", line=run.line)


def _calls(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    for call in records.all("call"):
        data = call.data
        if data["arguments_are_redacted"]:
            report.redacted_calls += 1
        else:
            _digest(call, call.text.encode(), data["arguments_digest"], "what the call ran with")
        if data["result_digest"] and records.get("blob", data["result_digest"]) is None:
            raise BrokenError("the whole result of the call is missing", line=call.line)
        decision = data["decision"] or {}
        approval_id = decision.get("approval")
        if approval_id is not None:
            _approved(call, records.get("approval", approval_id), report)
        elif data["state"] not in _NOT_BEGUN and decision.get("is_allowed") is False:
            raise BrokenError("the call ran, and nothing says who allowed it", line=call.line)


def _approved(call: _Record, approval: _Record | None, report: EvidenceReport) -> None:
    """Hold a call that a person decided about against what was decided."""
    if approval is None:
        raise BrokenError("the approval of the call is missing", line=call.line)
    if call.data["state"] in _NOT_BEGUN or approval.data["kind"] != _OF_CALLS:
        return
    facts, place = approval.data["binding"], call.data["place"]
    happened = {
        "tool": call.data["tool"],
        "arguments": call.data["arguments_digest"],
        "place": f"{call.run} {place['position']} {place['index']}",
    }
    if approval.data["state"] != "approved" or approval.data["used_at"] is None:
        raise BrokenError(f"the call ran, and its approval is {approval.data['state']}",
                          line=call.line)  # fmt: skip
    for name, value in happened.items():
        if facts.get(name) != value:
            raise BrokenError(f"the call ran with another {name} than was approved", line=call.line)
    report.approved_effects += 1


def _granted(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    """Hold calls that a standing approval answered for against what was counted and recorded."""
    uses = {use.data["call"]: use for use in records.all("grant_use")}
    told = {
        (entry.data["subject"]["id"], entry.data["payload"].get("grant")): entry
        for entry in records.all("audit")
        if entry.data["action"] == "decision"
    }
    for call in records.all("call"):
        grant = (call.data["decision"] or {}).get("grant")
        if not grant:
            continue
        use, entry = uses.get(call.id), told.get((call.id, grant))
        if use is None or use.data["grant"] != grant or use.data["tool"] != call.data["tool"]:
            raise BrokenError("the standing approval of the call is missing", line=call.line)
        if entry is None:
            raise BrokenError("that it was granted is not in the audit chain", line=call.line)
        counted = {use.data["arguments_digest"], entry.data["payload"].get("arguments")}
        if counted != {call.data["arguments_digest"]}:
            raise BrokenError("the call ran with other arguments than were granted", line=call.line)
        report.granted_effects += 1


def _approvals(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in records.all("audit"):
        payload = entry.data["payload"]
        about = str(payload.get("approval") or entry.data["subject"]["id"])
        told[entry.data["action"], about].add(str(payload.get("binding_digest")))
        is_used = entry.data["action"] == "effect" and payload.get("approval")
        if is_used and records.get("approval", payload["approval"]) is None:
            raise BrokenError("the entry is of an approval that is missing", line=entry.line)
    for approval in records.all("approval"):
        data = approval.data
        facts = canonical(data["binding"])
        _digest(approval, facts, data["binding_digest"], "what the approval is bound to")
        digest = data["binding_digest"]
        if data["state"] in ("approved", "denied") and digest not in told["decision", approval.id]:
            raise BrokenError("the decision is not in the audit chain", line=approval.line)
        if data["used_at"] is not None and digest not in told["effect", approval.id]:
            raise BrokenError("that it was used is not in the audit chain", line=approval.line)
        votes = {
            vote["for"] or vote["by"]
            for vote in data["votes"]
            if vote["verdict"] == "approve" and vote["digest"] == digest
        }
        is_voted = data["kind"] == _OF_CALLS and data["surface"] != _BY_TIME
        by_people = data["state"] == "approved" and is_voted
        if by_people and len(votes) < data["quorum"]:
            raise BrokenError(
                f"{len(votes)} approved it, and it takes {data['quorum']}", line=approval.line
            )


def _blobs(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    for blob in records.all("blob"):
        _digest(blob, base64.b64decode(blob.text, validate=True), blob.id, "the stored text")
    for event in records.all("event"):
        payload = event.data["payload"]
        named = payload.get("blobs") if isinstance(payload, dict) else None
        for one in (named or {}).values():
            if records.get("blob", one["digest"]) is None:
                raise BrokenError("a text the event refers to is missing", line=event.line)


def _entries(header: dict[str, Any], records: _Records, report: EvidenceReport) -> None:
    before = 0
    for record in records.all("audit"):
        entry = record.data
        if entry["hash"] != hash_of(entry):
            raise BrokenError("the entry of the audit chain was changed", line=record.line)
        if entry["sequence"] <= before or entry["chain"] != header["workspace"]["id"]:
            raise BrokenError("the entry has no place in the audit chain", line=record.line)
        before = entry["sequence"]


_CHECKS = (
    _runs, _snapshots, _policies, _history, _calls, _granted, _approvals, _blobs, _entries,
)  # fmt: skip


def _in_chain(records: _Records, chain: Iterable[bytes]) -> None:
    hashes = {}
    for line in chain:
        document = parse(line)
        if document.get("type") == "entry":
            hashes[document.get("id")] = document.get("hash")
    for record in records.all("audit"):
        if hashes.get(record.id) != record.data["hash"]:
            raise BrokenError(
                f"the entry {record.data['sequence']} is not in the chain you gave",
                line=record.line,
            )


def _digest(record: _Record, content: bytes, digest: str, what: str) -> None:
    if hashlib.sha256(content).hexdigest() != digest:
        raise BrokenError(f"{what} does not have the digest it was kept under", line=record.line)
