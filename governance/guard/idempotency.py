"""Idempotency records: claims and stored answers in the database, shared by all processes."""

from datetime import timedelta

from core import clock
from core.api.idempotency import (
    IN_FLIGHT_SECONDS,
    KEPT_SECONDS,
    Claim,
    KeyInFlightError,
    KeyReusedError,
    StoredAnswer,
)
from core.errors import StaleStateError
from core.ids import new_id
from governance.models import IdempotencyRecord


class DatabaseIdempotencyStore:
    """The site's `core.api.idempotency.IdempotencyStore`."""

    def claim(self, *, principal: str, key: str, fingerprint: str) -> Claim | StoredAnswer:
        now = clock.now()
        claim_id = new_id()
        mine = IdempotencyRecord(
            principal=principal,
            key=key,
            fingerprint=fingerprint,
            claim_id=claim_id,
            claimed_at=now,
            expires_at=now + timedelta(seconds=KEPT_SECONDS),
        )
        # Ignoring the conflict leaves the winner to be read, without breaking a transaction.
        IdempotencyRecord.objects.bulk_create([mine], ignore_conflicts=True)
        row = IdempotencyRecord.objects.filter(principal=principal, key=key).first()
        if row is None:  # released between the two statements
            raise KeyInFlightError(1)
        if row.claim_id == claim_id:
            return Claim(record_id=row.pk, claim_id=claim_id)
        if row.expires_at <= now:
            return self._take_over(row, mine)
        if row.fingerprint != fingerprint:
            raise KeyReusedError
        if row.status is not None:
            return StoredAnswer(status=row.status, body=row.body, headers=row.headers)
        age_seconds = (now - row.claimed_at).total_seconds()
        if age_seconds < IN_FLIGHT_SECONDS:
            raise KeyInFlightError(IN_FLIGHT_SECONDS - age_seconds)
        return self._take_over(row, mine)

    def settle(self, claim: Claim, answer: StoredAnswer) -> None:
        settled = IdempotencyRecord.objects.filter(
            pk=claim.record_id, claim_id=claim.claim_id, status__isnull=True
        ).update(status=answer.status, body=answer.body, headers=answer.headers)
        if not settled:
            raise StaleStateError(
                "Another request with this Idempotency-Key has taken over.",
                remedy="Send the request again to get its answer.",
            )

    def release(self, claim: Claim) -> None:
        IdempotencyRecord.objects.filter(
            pk=claim.record_id, claim_id=claim.claim_id, status__isnull=True
        ).delete()

    def _take_over(self, row: IdempotencyRecord, mine: IdempotencyRecord) -> Claim:
        taken = IdempotencyRecord.objects.filter(pk=row.pk, claim_id=row.claim_id).update(
            claim_id=mine.claim_id,
            claimed_at=mine.claimed_at,
            fingerprint=mine.fingerprint,
            expires_at=mine.expires_at,
            status=None,
            headers={},
            body="",
        )
        if not taken:
            raise KeyInFlightError(1)
        return Claim(record_id=row.pk, claim_id=mine.claim_id)
