"""The short cut: what becomes of a call whose commit has an outcome."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from agents.journal.journal import CallbackItem
from agents.journal.records import Born, Outcome
from agents.lane.quick import QuickLane
from core.errors import UnavailableError

RUN = UUID(int=7)
UNWRITTEN = ValueError("the agent is gone")
AWAY = UnavailableError("The database did not come back in time.")


class Lane:
    """A lane that knows everything; its journal keeps what it is given."""

    def __init__(self) -> None:
        self.put: list[CallbackItem] = []

    def birth(self, *_: Any) -> Any:
        return SimpleNamespace(run=SimpleNamespace(id=RUN))

    def journal(self) -> Any:
        return SimpleNamespace(put=self.put.append)

    def accepted(self, *_: Any) -> tuple[bytes, bytes]:
        return b"{}", b"/there"


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Born(run_id=RUN), [("answered", b"{}", b"/there")]),
        # Surely not written: the other way finds out why, and says so.
        (UNWRITTEN, [("declined",)]),
        # Perhaps written: going the other way could start a second run.
        (AWAY, [("failed", AWAY)]),
    ],
)
async def test_a_call_is_answered_once_whatever_its_commit_did(
    outcome: Outcome | Exception, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lane: Any = Lane()
    heard: list[Any] = []
    monkeypatch.setattr("agents.lane.quick.ring", lambda: None)
    monkeypatch.setattr(
        QuickLane, "_known", lambda *_: (None, SimpleNamespace(depends_on_input=False), "")
    )

    is_taken = QuickLane(lane).accept(
        "/x",
        [],
        b'{"input": "hello"}',
        lambda body, location: heard.append(("answered", body, location)),
        lambda: heard.append(("declined",)),
        lambda error: heard.append(("failed", error)),
    )
    lane.put[0].resolve(outcome)

    assert is_taken
    assert heard == told
