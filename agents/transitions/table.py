"""Which states a run may go to from which."""

from django.db.models import Q

from agents.contracts import Control, RunState
from core.state import StateTable

S = RunState
RUN_TABLE: StateTable[RunState] = StateTable(
    name="run",
    states=RunState,
    initial=S.QUEUED,
    edges={
        S.QUEUED: frozenset({S.RUNNING, S.PAUSED, S.FAILED, S.CANCELLED}),
        S.RUNNING: frozenset(
            {S.QUEUED, S.WAITING, S.PAUSED, S.YIELDED, S.SUCCEEDED, S.FAILED, S.CANCELLED}
        ),
        S.WAITING: frozenset({S.QUEUED, S.PAUSED, S.FAILED, S.CANCELLED}),
        S.PAUSED: frozenset({S.QUEUED, S.FAILED, S.CANCELLED}),
        S.YIELDED: frozenset({S.QUEUED, S.CANCELLED}),
        S.SUCCEEDED: frozenset(),
        S.FAILED: frozenset(),
        S.CANCELLED: frozenset(),
    },
)
LIVE = frozenset(state.value for state in RUN_TABLE.active)
TERMINAL = frozenset(state.value for state in RUN_TABLE.terminal)
# Paused by an owner that had not heard of the pause being withdrawn, and for no other reason.
GOES_ON = Q(state=S.PAUSED.value, control=Control.RESUME.value, error_code="")
