"""The evidence of a run: one file that tells what was done, by whose leave, and proves it offline.

JSON lines in the encoding of audit exports: a header, one record for each row the run consists of
(and the runs below it), and an end that signs every byte before it. Where a digest was bound or
pinned while the run went on, the record carries the very text the digest is of, so that a verifier
needs nothing else. `agentry audit verify` is ours; docs/operate/audit.md is for other verifiers.
"""

import base64
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from django.db import connection, transaction

from agents.models import Message, Run
from agents.selectors.runs import runs_from
from agents.snapshot import snapshot_of
from agents.transitions import LIVE
from core import clock
from core.errors import ConflictError
from core.signing import sign, signing_key_id, signing_public_key
from governance import access
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.digest import canonical, encodable
from governance.selectors.audit import moment
from governance.selectors.bundled import (
    approval_document,
    approvals_of_runs,
    entries_about,
    grant_uses_of_runs,
    policies_between,
)
from governance.services.audit import audit_append
from observability.selectors.events import blobs_of, run_records
from plugins.selectors.calls import calls_of_runs
from plugins.services.receipts import call_document

FILE_FORMAT = "agentry-evidence/1"
_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 64 * 1024

_File: TypeAlias = tempfile.SpooledTemporaryFile[bytes]


def run_evidence(actor: Actor, *, run: Run) -> Iterator[bytes]:
    """Return the evidence of a run that has ended, and of the runs below it, in pieces.

    It is read in one transaction, so that it is of one moment. That somebody took it, and its
    digest, is an entry of the workspace's audit chain before the first piece is given.

    Raises:
        PermissionDeniedError: It takes `run.payload` and `activity.view`.
        ConflictError: The run has not ended; there is more to come.
    """
    access.require(actor, Perm.RUN_PAYLOAD, run.workspace)
    access.require(actor, Perm.ACTIVITY_VIEW, run.workspace)
    with ExitStack() as undo:
        file = undo.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        with _one_moment():
            digest = _write(file, run.pk)
        audit_append(
            actor,
            action=AuditAction.EXPORTED,
            workspace_id=run.workspace_id,
            subject=AuditSubject(kind="run", id=str(run.pk), label=f"evidence of {run.agent_name}"),
            payload={"digest": digest, "format": FILE_FORMAT},
        )
        undo.pop_all()  # from here on the pieces keep it
    return _pieces(file)


def _one_moment() -> Any:
    """Open a transaction that sees one state of the database from its beginning to its end."""
    block = transaction.atomic()
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        return _Repeatable(block)
    return block


class _Repeatable:
    def __init__(self, block: Any) -> None:
        self._block = block

    def __enter__(self) -> None:
        self._block.__enter__()
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def __exit__(self, *error: Any) -> None:
        self._block.__exit__(*error)


def _pieces(file: _File) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _write(file: _File, run_id: UUID) -> str:
    """Write the whole file; returns the digest its end signs."""
    runs = runs_from(run_id)
    if going_on := next((run for run in runs if run.state in LIVE), None):
        raise ConflictError(
            f"The run {going_on.pk} is {going_on.state}; evidence is of what has ended.",
            remedy="Wait for its end, or cancel it.",
        )
    whole = hashlib.sha256()
    counts: dict[str, int] = {}
    for document in _documents(runs):
        line = canonical(document) + b"\n"
        whole.update(line)
        file.write(line)
        if document["type"] == "record":
            counts[document["kind"]] = counts.get(document["kind"], 0) + 1
    end = {
        "type": "end",
        "counts": counts,
        "digest": whole.hexdigest(),
        "key_id": signing_key_id(),
        "run": str(run_id),
    }
    file.write(canonical({**end, "signature": sign(canonical(end))}) + b"\n")
    return whole.hexdigest()


def _documents(runs: list[Run]) -> Iterator[dict[str, Any]]:
    root = runs[0]
    ids = [run.pk for run in runs]
    yield {
        "type": "header",
        "format": FILE_FORMAT,
        "at": moment(clock.now()),
        "key_id": signing_key_id(),
        "public_key": signing_public_key(),
        "run": str(root.pk),
        "runs": [str(pk) for pk in ids],
        "workspace": {"id": str(root.workspace_id), "name": root.workspace.name},
    }
    subjects = {str(pk) for pk in ids}
    digests: set[str] = set()
    for run in runs:
        yield _record("run", run.pk, run.pk, _run(run))
    yield from _snapshots(runs)
    since, until = (_asked_at(runs), _ended_at(runs))
    for version in policies_between(root.workspace_id, since, until):
        told = {
            "number": version.number,
            "digest": version.digest,
            "published_at": moment(version.published_at),
            "by": version.published_by.username if version.published_by else "",
            "note": version.note,
        }
        yield _record("policy", version.pk, None, told, text=version.source)
        subjects.add(str(version.pk))
    for message in Message.objects.filter(run_id__in=ids).order_by("run_id", "position"):
        told = {"position": message.position, "role": message.role, "parts": message.parts}
        yield _record("message", f"{message.run_id}/{message.position}", message.run_id, told)
    for run_id, call in calls_of_runs(ids):
        subjects.add(str(call.pk))
        digests |= {call.result_digest} - {""}
        told, text = call_document(call)
        yield _record("call", call.pk, run_id, told, text=text)
    for approval in approvals_of_runs(ids):
        subjects.add(str(approval.pk))
        document = approval_document(approval)
        yield _record("approval", approval.pk, approval.run_id, document)
    for use, granted in grant_uses_of_runs(ids):
        subjects.add(granted["grant"])
        yield _record("grant_use", use.pk, use.run_id, granted)
    for run in runs:
        yield from _events(run, digests)
    for digest, media_type, content in blobs_of(root.workspace_id, digests):
        told = {"media_type": media_type, "size_bytes": len(content)}
        encoded = base64.b64encode(content).decode("ascii")
        yield _record("blob", digest, None, told, text=encoded)
    for entry in entries_about(root.workspace_id, subjects):
        yield {"type": "record", "kind": "audit", "id": entry["id"], "run": None, "data": entry}


def _asked_at(runs: list[Run]) -> datetime:
    return min(run.created_at for run in runs)


def _ended_at(runs: list[Run]) -> datetime:
    return max(run.finished_at or run.updated_at for run in runs)


def _record(
    kind: str, id_: UUID | str, run_id: UUID | None, data: dict[str, Any], *, text: str = ""
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "type": "record",
        "kind": kind,
        "id": str(id_),
        "run": None if run_id is None else str(run_id),
        "data": encodable(msgspec.to_builtins(data)),
    }
    return record | ({"text": text} if text else {})


def _run(run: Run) -> dict[str, Any]:
    return {
        "agent": run.agent_name,
        "agent_version": run.version.number if run.version else None,
        "snapshot": run.snapshot_id,
        "state": run.state,
        "reason": run.reason,
        "error_code": run.error_code,
        "parent": str(run.parent_id) if run.parent_id else None,
        "parent_call": str(run.parent_call_id) if run.parent_call_id else None,
        "prefix": {"run": _id(run.prefix_run_id), "messages": run.prefix_length},
        "replay_of": _id(run.replay_of_id),
        "requested_by": {
            "id": _id(run.requested_by_id),
            "name": run.requested_by.username if run.requested_by else "",
        },
        "surface": run.surface,
        "input": run.input,
        "output": run.output,
        "limits": run.limits,
        "message_count": run.message_count,
        "head_sequence": run.head_sequence,
        "usage": {
            "iterations": run.iteration,
            "input_tokens": run.input_tokens,
            "output_tokens": run.output_tokens,
            "cache_read_tokens": run.cache_read_tokens,
            "cost_usd": str(run.cost_usd),
            "cost_is_partial": run.cost_is_partial,
        },
        "created_at": moment(run.created_at),
        "started_at": moment(run.started_at) if run.started_at else None,
        "finished_at": moment(run.finished_at) if run.finished_at else None,
    }


def _id(identifier: UUID | None) -> str | None:
    return None if identifier is None else str(identifier)


def _snapshots(runs: list[Run]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for run in runs:
        if run.snapshot_id in seen:
            continue
        seen.add(run.snapshot_id)
        text = snapshot_of(run.snapshot.content).text().decode()
        told = {"workspace": str(run.workspace_id), "digest": run.snapshot_id}
        yield _record("snapshot", run.snapshot_id, None, told, text=text)


def _events(run: Run, digests: set[str]) -> Iterator[dict[str, Any]]:
    for event in run_records(run.workspace_id, run.pk):
        payload = msgspec.json.decode(event.payload)
        named = payload.get("blobs") if isinstance(payload, dict) else None
        digests |= set(_digests(named))
        told = {
            "sequence": event.sequence,
            "kind": event.kind,
            "at": moment(event.at),
            "payload": payload,
        }
        yield _record("event", f"{run.pk}/{event.sequence}", run.pk, told)


def _digests(named: Any) -> Iterator[str]:
    if isinstance(named, dict):
        for value in named.values():
            yield from _digests(value)
    elif isinstance(named, str):
        yield named
