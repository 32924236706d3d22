"""The audit chains: who did what, so that nobody can later say otherwise unnoticed.

One chain a workspace and one for the site. An entry is appended in the transaction that does what
it tells of: both are there or neither. Appending locks the chain's head until that transaction
ends, so append as late as can be, and to one chain a transaction.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from core import clock
from core.redaction import JSON, redact_or_withhold, redact_text
from governance.contracts import Actor, AuditAction, AuditSubject
from governance.digest import GENESIS, digest_of, encodable
from governance.models import AuditEntry, AuditHead
from governance.selectors.audit import SITE, entry_document


def audit_append(
    actor: Actor,
    *,
    action: AuditAction,
    workspace_id: UUID | None,
    subject: AuditSubject,
    payload: Mapping[str, JSON] | None = None,
) -> AuditEntry:
    """Append an entry to the workspace's chain; None: to the site's own.

    Of many at once each waits for the one before it, so the chain has no gaps and no forks. The
    payload is redacted and holds JSON; what cannot be redacted is withheld as a whole.
    """
    with transaction.atomic(savepoint=False):
        head = _locked_head(SITE if workspace_id is None else workspace_id)
        now = clock.now()
        entry = AuditEntry(
            workspace_id=workspace_id,
            sequence=head.sequence + 1,
            at=now if head.at is None else max(now, head.at),  # a chain's time never goes back
            actor_name=_fitting("actor_name", actor.username),
            actor_id=actor.user_id,
            token_id=actor.token_id,
            action=action.value,
            subject_kind=_fitting("subject_kind", subject.kind),
            subject_id=_fitting("subject_id", subject.id),
            subject_label=_fitting("subject_label", subject.label),
            payload=_stored(payload or {}),
            previous_hash=head.hash,
        )
        entry.hash = digest_of(entry_document(entry))
        entry.save(force_insert=True)
        head.sequence, head.hash, head.at = entry.sequence, entry.hash, entry.at
        head.unsigned_since = head.unsigned_since or entry.at
        head.save(update_fields=["sequence", "hash", "at", "unsigned_since"])
    return entry


def _locked_head(chain: UUID) -> AuditHead:
    rows = AuditHead.objects.select_for_update()
    head = rows.filter(pk=chain).first()
    if head is None:
        AuditHead.objects.bulk_create([AuditHead(chain=chain, hash=GENESIS)], ignore_conflicts=True)
        head = rows.get(pk=chain)
    return head


def _fitting(field: str, text: str) -> str:
    """Return the text as the column takes it."""
    column: Any = AuditEntry._meta.get_field(field)
    return redact_text(text)[: column.max_length]


def _stored(payload: Mapping[str, JSON]) -> dict[str, JSON]:
    cleaned = redact_or_withhold(dict(payload))
    stored = encodable(cleaned)
    return stored if isinstance(stored, dict) else {"withheld": stored}
