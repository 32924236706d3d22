"""Audit chains: their entries and checkpoints, and the documents that are hashed and signed."""

from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from governance import access
from governance.contracts import Actor, AuditAction, Perm
from governance.digest import FORMAT, SITE_CHAIN
from governance.models import AuditCheckpoint, AuditEntry, AuditHead, Workspace

M = TypeVar("M", AuditEntry, AuditCheckpoint)

_SAID: Final = frozenset({"reason", "note", "pattern"})
SITE: Final = UUID(int=0)  # what stands for the site's own chain where a workspace's id would


def audit_list(actor: Actor) -> QuerySet[AuditEntry]:
    """Return the entries the actor may know. The site's own chain is a superuser's."""
    return _known_to(actor, AuditEntry.objects.select_related("workspace"))


def checkpoint_list(actor: Actor) -> QuerySet[AuditCheckpoint]:
    """Return the checkpoints of the chains the actor may know."""
    return _known_to(actor, AuditCheckpoint.objects.select_related("workspace"))


def _known_to(actor: Actor, rows: QuerySet[M]) -> QuerySet[M]:
    scoped = access.scope(actor, Perm.ACTIVITY_VIEW, rows, field="workspace_id")
    if actor.is_superuser and actor.scopes is None and actor.workspace_id is None:
        return scoped
    return scoped.filter(workspace__isnull=False)


def chain_name(workspace_id: UUID | None) -> str:
    return SITE_CHAIN if workspace_id is None else str(workspace_id)


def entry_document(entry: AuditEntry) -> dict[str, Any]:
    """Return everything an entry's hash is over."""
    return {
        "action": entry.action,
        "actor": {
            "id": _text(entry.actor_id),
            "name": entry.actor_name,
            "token": _text(entry.token_id),
        },
        "at": moment(entry.at),
        "chain": chain_name(entry.workspace_id),
        "format": FORMAT,
        "id": str(entry.pk),
        "payload": entry.payload,
        "previous_hash": entry.previous_hash,
        "sequence": entry.sequence,
        "subject": {
            "id": entry.subject_id,
            "kind": entry.subject_kind,
            "label": entry.subject_label,
        },
    }


def payload_shown(entry: AuditEntry, *, is_readable: bool) -> tuple[dict[str, Any], bool]:
    """Return what an entry tells, and whether something is left out of it.

    What people said about calls, and the patterns of grants, which quote arguments, take seeing
    payloads: without it they are None, and the hash is over more than what is shown.
    """
    if is_readable or entry.action != AuditAction.DECISION.value:
        return entry.payload, False
    shown = {name: None if name in _SAID else value for name, value in entry.payload.items()}
    return shown, shown != entry.payload


def checkpoint_document(checkpoint: AuditCheckpoint) -> dict[str, Any]:
    """Return everything a checkpoint's signature is over."""
    return {
        "at": moment(checkpoint.at),
        "chain": chain_name(checkpoint.workspace_id),
        "format": FORMAT,
        "hash": checkpoint.hash,
        "key_id": checkpoint.key_id,
        "sequence": checkpoint.sequence,
    }


def moment(at: datetime) -> str:
    """Return a time as chains write it: UTC, with six digits of a second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(identifier: UUID | None) -> str | None:
    return None if identifier is None else str(identifier)


def chains() -> list[Workspace | None]:
    """Return whose chains there are, the site's own (None) first; for the site's commands."""
    ids = set(AuditHead.objects.values_list("pk", flat=True)) | set(
        AuditEntry.objects.filter(workspace__isnull=False)
        .order_by()
        .values_list("workspace_id", flat=True)
        .distinct()
    )
    return [None, *Workspace.objects.filter(pk__in=ids)]
