"""Chains to tamper with, and the verdict about them."""

from collections.abc import Iterable
from typing import Any

from agentry.audit.documents import PublicKeys
from agentry.audit.verifying import BrokenError, Report, verify
from core.signing import signing_public_key
from governance.contracts import SYSTEM, AuditAction, AuditSubject
from governance.digest import digest_of
from governance.models import AuditEntry, AuditHead, Workspace
from governance.selectors.audit import entry_document
from governance.services.audit import audit_append
from governance.services.audit_exports import audit_checkpoint, audit_lines


def keys() -> PublicKeys:
    return PublicKeys([signing_public_key().encode()])


def append(workspace: Workspace | None, label: str, **payload: Any) -> AuditEntry:
    return audit_append(
        SYSTEM,
        action=AuditAction.DECISION,
        workspace_id=None if workspace is None else workspace.pk,
        subject=AuditSubject(kind="test", id="1", label=label),
        payload=payload,
    )


def fill(workspace: Workspace, *, upto: int, signed: int = 0) -> None:
    """Append until the chain has so many entries, and sign it after the entry `signed`."""
    while (done := length(workspace)) < upto:
        append(workspace, f"entry {done + 1}", number=done + 1)
        if done + 1 == signed:
            audit_checkpoint(SYSTEM, workspace=workspace)


def length(workspace: Workspace) -> int:
    return AuditEntry.objects.filter(workspace=workspace).count()


def entry(workspace: Workspace, sequence: int) -> AuditEntry:
    return AuditEntry.objects.get(workspace=workspace, sequence=sequence)


def rehash(workspace: Workspace, *, since: int) -> None:
    """Do what a careful forger does: make every hash fit again, the head's too."""
    rows = AuditEntry.objects.filter(workspace=workspace).order_by("sequence")
    previous = None
    for row in rows.filter(sequence__gte=since):
        if previous is not None:
            row.previous_hash = previous.hash
        row.hash = digest_of(entry_document(row))
        row.save(update_fields=["hash", "previous_hash"])
        previous = row
    assert previous is not None
    AuditHead.objects.filter(pk=workspace.pk).update(hash=previous.hash, sequence=previous.sequence)


def check(
    workspace: Workspace | None, lines: Iterable[bytes] | None = None, **options: Any
) -> Report:
    return verify(audit_lines(workspace) if lines is None else lines, keys(), **options)


def verdict(lines: Iterable[bytes], **options: Any) -> tuple[int | None, str]:
    """Return the entry that is named and what is said of it; the file must not hold."""
    try:
        report = verify(lines, options.pop("keys", None) or keys(), **options)
    except BrokenError as error:
        return error.sequence, error.what
    raise AssertionError(f"the file holds: {report}")
