"""Claims on keys: who works, who waits, who has lost."""

from datetime import timedelta

import pytest

from core import clock
from core.api.idempotency import Claim, KeyInFlightError, KeyReusedError, StoredAnswer
from core.errors import StaleStateError
from governance.execution import idempotency_purge
from governance.guard.idempotency import DatabaseIdempotencyStore
from governance.models import IdempotencyRecord

pytestmark = pytest.mark.django_db

STORE = DatabaseIdempotencyStore()
ANSWER = StoredAnswer(status=201, body='{"a":1}', headers={"ETag": '"x"'})


def _claim(fingerprint: str = "f", principal: str = "p") -> Claim | StoredAnswer:
    return STORE.claim(principal=principal, key="k", fingerprint=fingerprint)


def _claimed() -> Claim:
    claim = _claim()
    assert isinstance(claim, Claim)
    return claim


def test_the_second_waits_and_then_gets_the_answer_of_the_first() -> None:
    claim = _claimed()
    with pytest.raises(KeyInFlightError) as waiting:
        _claim()
    assert 0 < waiting.value.retry_after_seconds <= 60
    with pytest.raises(KeyReusedError):
        _claim("other")
    STORE.settle(claim, ANSWER)
    assert _claim() == ANSWER
    assert isinstance(_claim(principal="q"), Claim)


def test_a_claim_that_was_taken_over_cannot_be_settled_or_released() -> None:
    slow = _claimed()
    with clock.shifted(timedelta(seconds=61)):
        taker = _claimed()
        with pytest.raises(KeyInFlightError):
            _claim()
    with pytest.raises(StaleStateError):
        STORE.settle(slow, ANSWER)
    STORE.release(slow)
    STORE.settle(taker, ANSWER)
    assert _claim() == ANSWER
    STORE.release(taker)
    assert _claim() == ANSWER


def test_a_released_key_is_free_for_any_request() -> None:
    STORE.release(_claimed())
    assert isinstance(_claim("other"), Claim)


def test_answers_end_after_a_day() -> None:
    STORE.settle(_claimed(), ANSWER)
    with clock.shifted(timedelta(hours=23)):
        assert idempotency_purge() == 0
        assert _claim() == ANSWER
    with clock.shifted(timedelta(hours=24, seconds=1)):
        assert isinstance(_claim("other"), Claim)
        assert idempotency_purge() == 0
    with clock.shifted(timedelta(hours=49)):
        assert idempotency_purge() == 1
    assert not IdempotencyRecord.objects.exists()
