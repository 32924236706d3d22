"""What a released run sets free, closes, or finds decided already."""

import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors

from agents.journal import sql
from agents.journal.records import Entry

logger = logging.getLogger(__name__)


def wake(connection: psycopg.Connection[tuple[Any, ...]], released: Sequence[Entry]) -> None:
    """Queue parents whose last child ended and the next run of each freed session.

    A parked run whose calls were decided while it was on its way is queued again: its row is
    locked by the deciding transaction too, so one of the two sees the other.

    The parents are locked before the question is asked, so that of two children ending at once
    the second one sees the first. A sweep asks the same question again for what slips through.
    """
    parents = sorted({entry.parent_id for entry in released if entry.parent_id is not None})
    ended = [entry.run_id for entry in released if entry.progress.wait_kind == "children"]
    if parents or ended:
        waiting = [*parents, *ended]
        connection.execute(
            f"SELECT id FROM {sql.RUN} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", (waiting,)
        )
        connection.execute(WAKE_PARENTS, {"ids": waiting})
    sessions = [
        entry.session_id
        for entry in released
        if entry.session_id is not None and entry.progress.finished_at is not None
    ]
    if sessions:
        try:
            with connection.transaction():  # a savepoint
                connection.execute(WAKE_SESSIONS, {"ids": sessions})
        except errors.UniqueViolation:
            # A new run became the session's active one at this moment; the waiting one is woken
            # when that ends, or by the sweep.
            logger.info("session_taken_meanwhile")
    for entry in released:
        if entry.closes:
            values = {"run": entry.run_id, "reason": f"{entry.closes}."}
            connection.execute(WITHDRAW, values)
            connection.execute(CLOSE, values)
        if entry.awaits:
            values = {"run": entry.run_id, "calls": list(entry.awaits)}
            connection.execute(WAKE_DECIDED, values)


def _woken(update: str) -> str:
    """Wrap a waking UPDATE so that each row it moves gets its trace event in the same statement."""
    return (
        f"WITH woken AS ({update} RETURNING n.id, n.workspace_id, n.head_sequence)"
        f" INSERT INTO {sql.EVENT} (workspace_id, run_id, sequence, txid, kind, at, payload)"
        " SELECT workspace_id, id, head_sequence, pg_current_xact_id()::text::bigint, 'run.state',"
        " clock_timestamp(), jsonb_build_object('before', 'waiting', 'state', 'queued') FROM woken"
    )


_QUEUE = (
    f"UPDATE {sql.RUN} n SET state = 'queued', wait_kind = '', wake_at = NULL,"
    " available_at = clock_timestamp(), updated_at = clock_timestamp(),"
    " head_sequence = head_sequence + 1"
)
WAKE_PARENTS = _woken(
    _QUEUE + " WHERE n.id = ANY(%(ids)s) AND n.state = 'waiting' AND n.wait_kind = 'children'"
    f" AND NOT EXISTS (SELECT 1 FROM {sql.RUN} c WHERE c.parent_id = n.id"
    f" AND c.state IN {sql.LIVE})"
)
WAKE_SESSIONS = _woken(
    _QUEUE + " WHERE n.id IN (SELECT DISTINCT ON (w.session_id) w.id"
    f" FROM {sql.RUN} w WHERE w.session_id = ANY(%(ids)s) AND w.state = 'waiting'"
    " AND w.wait_kind = 'turn' ORDER BY w.session_id, w.id) AND n.state = 'waiting'"
    f" AND NOT EXISTS (SELECT 1 FROM {sql.RUN} a WHERE a.session_id = n.session_id"
    f" AND a.state IN {sql.LIVE} AND a.wait_kind <> 'turn')"
)
WAKE_DECIDED = _woken(
    _QUEUE + " WHERE n.id = %(run)s AND n.state = 'waiting'"
    f" AND EXISTS (SELECT 1 FROM {sql.CALL} c WHERE c.id = ANY(%(calls)s)"
    " AND c.state <> 'waiting')"
)
WITHDRAW = (
    f"UPDATE {sql.APPROVAL} SET state = 'withdrawn', decided_at = clock_timestamp(),"
    " reason = %(reason)s WHERE run_id = %(run)s AND state = 'pending'"
    " AND kind <> 'in_doubt'"
)
CLOSE = (
    f"UPDATE {sql.CALL} SET state = 'cancelled', settled_at = clock_timestamp(),"
    " reason = %(reason)s WHERE run_id = %(run)s AND state IN ('waiting', 'approved')"
)
