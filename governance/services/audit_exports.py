"""Taking an audit chain away as a file that anybody with the site's public key can check.

The file is JSON lines, each in canonical encoding: a header, the entries in order with the
checkpoints after the entries they sign, and an end that signs every byte before it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Max, Min

from core import clock
from core.errors import InvalidInputError
from core.signing import sign, signing_key_id, signing_public_key
from governance import access
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.digest import canonical
from governance.errors import AuditBrokenError
from governance.execution import checkpoint_write
from governance.models import AuditCheckpoint, AuditEntry, AuditHead, Workspace
from governance.selectors.audit import (
    SITE,
    chain_name,
    checkpoint_document,
    entry_document,
    moment,
)
from governance.services.audit import audit_append
from governance.services.workspaces import require_site_admin

logger = structlog.get_logger(__name__)

FILE_FORMAT = "agentry-audit/1"
_PAGE = 500


def audit_export(
    actor: Actor,
    *,
    workspace: Workspace | None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[bytes]:
    """Return the lines of an export of the workspace's chain; None: of the site's own.

    The entries from `since` on and before `until`. That somebody took them is an entry itself. A
    broken chain is exported as it is, without a new checkpoint.

    Raises:
        PermissionDeniedError: it takes `activity.view` and `run.payload`, because a file can only
            be checked whole; for the site's chain a superuser.
        InvalidInputError: the time ends before it begins.
    """
    _require(actor, workspace)
    if workspace is not None:
        access.require(actor, Perm.RUN_PAYLOAD, workspace)
    if since is not None and until is not None and until <= since:
        sentence = "The time ends before it begins."
        raise InvalidInputError(sentence, fields={"until": [sentence]})
    with transaction.atomic():
        audit_append(
            actor,
            action=AuditAction.EXPORTED,
            workspace_id=None if workspace is None else workspace.pk,
            subject=AuditSubject(kind="audit", label="audit chain"),
            payload={
                "since": None if since is None else moment(since),
                "until": None if until is None else moment(until),
            },
        )
        try:
            checkpoint_write(None if workspace is None else workspace.pk)
        except AuditBrokenError as error:
            logger.exception("audit_chain_broken", detail=error.detail)
    return audit_lines(workspace, since=since, until=until)


def audit_checkpoint(actor: Actor, *, workspace: Workspace | None) -> AuditCheckpoint:
    """Sign the chain as it is now, and return the signature; one that is there is kept.

    Raises:
        PermissionDeniedError: it takes `activity.view`; for the site's chain a superuser.
        AuditBrokenError: the entries since the last checkpoint do not hold together.
    """
    _require(actor, workspace)
    return checkpoint_write(None if workspace is None else workspace.pk)


def audit_lines(
    workspace: Workspace | None, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[bytes]:
    """Yield the lines of a file; for callers that ask access themselves."""
    span = _span(workspace, since, until)
    whole = hashlib.sha256()
    for document in _documents(workspace, span):
        line = canonical(document) + b"\n"
        whole.update(line)
        yield line
    end = {
        "type": "end",
        "chain": chain_name(None if workspace is None else workspace.pk),
        "digest": whole.hexdigest(),
        "key_id": signing_key_id(),
        "last": span.last,
    }
    yield canonical({**end, "signature": sign(canonical(end))}) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """The entries of a file, by sequence. `last_hash` is known for the end of the chain only."""

    first: int
    last: int
    last_hash: str | None
    since: datetime | None
    until: datetime | None


def _span(workspace: Workspace | None, since: datetime | None, until: datetime | None) -> _Span:
    chain = SITE if workspace is None else workspace.pk
    head = AuditHead.objects.filter(pk=chain).first()
    last, last_hash = (0, None) if head is None else (head.sequence, head.hash)
    entries = AuditEntry.objects.filter(workspace=workspace)
    if until is not None:
        found = entries.filter(at__lt=until).aggregate(Max("sequence"))["sequence__max"]
        last, last_hash = found or 0, None
    first = 1
    if since is not None:
        found = entries.filter(at__gte=since).aggregate(Min("sequence"))["sequence__min"]
        first = last + 1 if found is None else min(found, last + 1)
    return _Span(first=first, last=last, last_hash=last_hash, since=since, until=until)


def _documents(workspace: Workspace | None, span: _Span) -> Iterator[dict[str, object]]:
    yield {
        "type": "header",
        "at": moment(clock.now()),
        "chain": chain_name(None if workspace is None else workspace.pk),
        "first": span.first,
        "format": FILE_FORMAT,
        "key_id": signing_key_id(),
        "last": span.last,
        "last_hash": span.last_hash,
        "public_key": signing_public_key(),
        "since": None if span.since is None else moment(span.since),
        "until": None if span.until is None else moment(span.until),
        "workspace": None if workspace is None else workspace.name,
    }
    done = span.first - 1
    yield from _checkpoints(workspace, done - 1, done)
    while done < span.last:
        entries = AuditEntry.objects.filter(
            workspace=workspace, sequence__gt=done, sequence__lte=span.last
        ).order_by("sequence")[:_PAGE]
        page = list(entries)
        upto = page[-1].sequence if len(page) == _PAGE else span.last
        signed = {
            document["sequence"]: document for document in _checkpoints(workspace, done, upto)
        }
        for entry in page:
            yield {"type": "entry", **entry_document(entry), "hash": entry.hash}
            if (checkpoint := signed.pop(entry.sequence, None)) is not None:
                yield checkpoint
        yield from signed.values()  # signed once, and their entries are gone
        done = upto
    if span.until is None:
        yield from _checkpoints(workspace, span.last, None)


def _checkpoints(
    workspace: Workspace | None, after: int, upto: int | None
) -> Iterator[dict[str, object]]:
    rows = AuditCheckpoint.objects.filter(workspace=workspace, sequence__gt=after)
    if upto is not None:
        rows = rows.filter(sequence__lte=upto)
    for row in rows.order_by("sequence"):
        yield {"type": "checkpoint", **checkpoint_document(row), "signature": row.signature}


def _require(actor: Actor, workspace: Workspace | None) -> None:
    if workspace is None:
        require_site_admin(actor, "read the audit chain of the site")
    else:
        access.require(actor, Perm.ACTIVITY_VIEW, workspace)
