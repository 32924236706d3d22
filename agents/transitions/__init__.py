"""The state tables, and the only moves of a run that its owner does not make.

A worker moves its run through the journal, under its fence. Everybody else (a person, a sweep)
moves it here: one conditional UPDATE that names the states it may come from, with the trace event
in the same transaction. Zero rows changed means somebody else was first.
"""

from agents.transitions.leases import leases_end, run_expire_lease
from agents.transitions.moves import (
    run_ask,
    run_cancel_one,
    run_move,
    run_note,
    run_told,
    run_wake_parent,
    run_wake_session,
    stale,
)
from agents.transitions.table import GOES_ON, LIVE, RUN_TABLE, TERMINAL
from agents.transitions.versions import VERSION_TABLE, version_to_published

__all__ = [
    "GOES_ON",
    "LIVE",
    "RUN_TABLE",
    "TERMINAL",
    "VERSION_TABLE",
    "leases_end",
    "run_ask",
    "run_cancel_one",
    "run_expire_lease",
    "run_move",
    "run_note",
    "run_told",
    "run_wake_parent",
    "run_wake_session",
    "stale",
    "version_to_published",
]
