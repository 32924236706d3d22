"""Holding answers: some may, and they never take the last places for requests."""

import threading
from uuid import UUID

import pytest

from agents.api import waiting
from core.ids import new_id


def test_only_some_may_wait_and_the_others_are_answered_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []

    def looked(_run: UUID, seconds: float) -> bool:
        asked.append(seconds)
        if seconds:
            waiting.run_wait(new_id(), 5.0)  # somebody else comes while this one waits
        return False

    monkeypatch.setattr(waiting, "_seats", threading.BoundedSemaphore(1))
    monkeypatch.setattr(waiting, "_waited", looked)

    assert waiting.run_wait(new_id(), 5.0) is False
    assert asked == [5.0, 0.0]
    waiting.run_wait(new_id(), 7.0)
    assert asked == [5.0, 0.0, 7.0, 0.0]
