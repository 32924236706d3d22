"""What workers do for governance: clear away what is kept for a while, and sign audit chains."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from core import clock
from core.signing import sign, signing_key_id
from governance.contracts import ReservationState
from governance.digest import GENESIS, canonical, digest_of
from governance.errors import AuditBrokenError
from governance.models import (
    AuditCheckpoint,
    AuditEntry,
    AuditHead,
    IdempotencyRecord,
    Reservation,
)
from governance.selectors.audit import SITE, checkpoint_document, entry_document

logger = structlog.get_logger(__name__)

_PAGE = 500
_RESERVED_FOR = timedelta(days=30)


def idempotency_purge() -> int:
    """Delete idempotency records whose answers are no longer given again; return how many."""
    deleted, _ = IdempotencyRecord.objects.filter(expires_at__lte=clock.now()).delete()
    return deleted


def reservations_purge() -> int:
    """Delete reservations that were settled or given back a month ago; return how many."""
    over = [ReservationState.SETTLED.value, ReservationState.RELEASED.value]
    old = Reservation.objects.filter(state__in=over, settled_at__lt=clock.now() - _RESERVED_FOR)
    deleted, _ = old.delete()
    return deleted


def checkpoints_write_due() -> int:
    """Sign the chains that have grown long or waited long enough; return how many.

    A chain that does not hold together is not signed; the log says so every time.
    """
    waited = clock.now() - timedelta(minutes=settings.AUDIT_CHECKPOINT_MINUTES)
    due = AuditHead.objects.filter(
        Q(unsigned_since__lte=waited)
        | Q(sequence__gte=F("signed_sequence") + settings.AUDIT_CHECKPOINT_ENTRIES)
    )
    written = 0
    for chain in due.values_list("pk", flat=True):
        try:
            checkpoint_write(None if chain == SITE else chain)
            written += 1
        except AuditBrokenError as error:
            logger.exception("audit_chain_broken", chain=str(chain), detail=error.detail)
    return written


def checkpoint_write(workspace_id: UUID | None) -> AuditCheckpoint:
    """Sign a chain as it is now; return the signature that is there when nothing was added.

    The entries since the last checkpoint are checked first, so that nothing broken is signed.

    Raises:
        AuditBrokenError: they do not hold together.
    """
    chain = SITE if workspace_id is None else workspace_id
    with transaction.atomic():
        head = AuditHead.objects.select_for_update().filter(pk=chain).first()
        if head is None:
            AuditHead.objects.bulk_create(
                [AuditHead(chain=chain, hash=GENESIS)], ignore_conflicts=True
            )
            head = AuditHead.objects.select_for_update().get(pk=chain)
        last = AuditCheckpoint.objects.filter(
            workspace=workspace_id, sequence=head.signed_sequence
        ).first()
        if last is None and head.signed_sequence:
            raise _broken(head.signed_sequence, "its checkpoint is gone")
        if last is not None and head.sequence == head.signed_sequence:
            return last
        _require_whole(workspace_id, head, GENESIS if last is None else last.hash)
        checkpoint = AuditCheckpoint(
            workspace_id=workspace_id,
            sequence=head.sequence,
            hash=head.hash,
            at=clock.now(),
            key_id=signing_key_id(),
        )
        checkpoint.signature = sign(canonical(checkpoint_document(checkpoint)))
        checkpoint.save(force_insert=True)
        AuditHead.objects.filter(pk=chain).update(
            signed_sequence=head.sequence, unsigned_since=None
        )
    return checkpoint


def _require_whole(workspace_id: UUID | None, head: AuditHead, previous: str) -> None:
    """Raise AuditBrokenError where the entries since the last checkpoint do not follow in turn."""
    done = head.signed_sequence
    for entry in _entries_after(workspace_id, done):
        if entry.sequence != done + 1:
            raise _broken(done + 1, "it is gone")
        if entry.previous_hash != previous:
            raise _broken(entry.sequence, "it does not follow the one before it")
        if entry.hash != digest_of(entry_document(entry)):
            raise _broken(entry.sequence, "it was changed after it was written")
        done, previous = entry.sequence, entry.hash
    if done < head.sequence:
        raise _broken(done + 1, "it is gone")
    if done > head.sequence or previous != head.hash:
        raise _broken(done, "it is not the one that was appended last")


def _entries_after(workspace_id: UUID | None, sequence: int) -> Iterator[AuditEntry]:
    rows = AuditEntry.objects.filter(workspace=workspace_id).order_by("sequence")
    while page := list(rows.filter(sequence__gt=sequence)[:_PAGE]):
        yield from page
        sequence = page[-1].sequence


def _broken(sequence: int, what: str) -> AuditBrokenError:
    return AuditBrokenError(
        f"The audit chain is broken at entry {sequence}: {what}.",
        remedy="Keep the database as it is and find out who could write to it; "
        "`manage.py audit verify` says more.",
        detail={"sequence": sequence},
    )
