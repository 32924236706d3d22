"""The journal's connection to PostgreSQL: batches are written once, also when it breaks."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import errors

from agents.journal import sql
from agents.journal.postgres.births import write_births
from agents.journal.postgres.entries import parameters, statement
from agents.journal.postgres.prepared import PreparedStatements
from agents.journal.postgres.waking import wake
from agents.journal.records import (
    Birth,
    Committed,
    Contribution,
    Entry,
    Lease,
    Lost,
    Outcome,
)
from agents.journal.spending import settle_postgres, settlements
from core.errors import StaleStateError, UnavailableError
from core.ids import new_id
from core.pausepoints import reach

logger = logging.getLogger(__name__)
T = TypeVar("T")

_RETRIED = (errors.DeadlockDetected, errors.SerializationFailure)


class PostgresWriter:
    """Owns one connection, reconnecting for at most `patience_seconds` when it breaks."""

    def __init__(self, conninfo: str, *, patience_seconds: float = 60.0) -> None:
        self._conninfo = conninfo
        self._patience_seconds = patience_seconds
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def write(self, batch: Sequence[Contribution]) -> list[Outcome]:
        entries = [item for item in batch if isinstance(item, Entry)]
        births = [item for item in batch if isinstance(item, Birth)]
        commit_id = new_id()
        # Births first: they may be repeated, so a failure after them leaves nothing done twice
        # when the journal splits the batch and writes its parts again.
        born = (
            self._persistently(lambda connection: write_births(connection, births), None)
            if births
            else {}
        )
        heads = (
            self._persistently(
                lambda connection: self._write_entries(connection, entries, commit_id),
                lambda connection: _applied(connection, entries, commit_id),
            )
            if entries
            else {}
        )
        outcomes: list[Outcome] = []
        for item in batch:
            if isinstance(item, Birth):
                outcomes.append(born[item.run.id])
            elif (head := heads.get(item.run_id)) is not None:
                outcomes.append(head)
            else:
                outcomes.append(Lost(item.run_id))
        return outcomes

    def renew(self, worker_id: UUID, until: datetime) -> list[Lease]:
        def statement(connection: psycopg.Connection[tuple[Any, ...]]) -> list[Lease]:
            rows = connection.execute(
                f"UPDATE {sql.RUN} SET lease_until = %s WHERE worker_id = %s AND state = 'running'"
                " RETURNING id, fence, control",
                (until, worker_id),
            ).fetchall()
            return [Lease(*row) for row in rows]

        return self._persistently(statement, None)

    def _persistently(
        self,
        work: Callable[[psycopg.Connection[tuple[Any, ...]]], T],
        applied: Callable[[psycopg.Connection[tuple[Any, ...]]], T | None] | None,
    ) -> T:
        """Run `work`, reconnecting on connection loss.

        A connection lost during a commit leaves it open whether the commit happened; `applied`
        answers that on the new connection before the work is done again. Work without it must be
        safe to repeat.
        """
        give_up_at = time.monotonic() + self._patience_seconds
        delay = 0.05
        is_uncertain = False
        while True:
            try:
                connection = self._connected()
                if is_uncertain and applied is not None:
                    if (result := applied(connection)) is not None:
                        return result
                    is_uncertain = False
                return work(connection)
            except _RETRIED:
                logger.warning("journal_batch_retried", exc_info=True)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                is_uncertain = True
                self.close()
                if time.monotonic() > give_up_at:
                    raise UnavailableError(
                        "The database did not come back in time.",
                        remedy="Check that PostgreSQL runs. Runs under way are taken up again; "
                        "send a request again with the same Idempotency-Key.",
                    ) from error
                time.sleep(delay)
                delay = min(delay * 2, 1.0)

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=5,
                # A peer that vanished without a word is noticed in half a minute.
                tcp_user_timeout=30_000,
                keepalives_idle=15,
                keepalives_interval=5,
                keepalives_count=3,
                application_name="agentry-journal",
            )
            connection.prepare_threshold = 2
            self._connection = connection
            self._prepared = PreparedStatements(connection)
        return self._connection

    def _write_entries(
        self,
        connection: psycopg.Connection[tuple[Any, ...]],
        entries: Sequence[Entry],
        commit_id: UUID,
    ) -> dict[UUID, Outcome]:
        released = [entry for entry in entries if entry.releases]
        moves = any(entry.moved for entry in entries)
        values = parameters(entries)
        text = statement(frozenset(values))
        values["commit_id"] = commit_id.hex
        if not (released or moves or any(entry.spending for entry in entries)):
            reach("journal.before_commit")
            passed = self._prepared.heads(text, values)
        else:
            with connection.transaction():
                passed = self._prepared.heads(text, values)
                going = {row[0] for row in passed}
                if moves:
                    _check_moves([entry for entry in entries if entry.run_id in going], passed)
                if released:
                    wake(connection, [entry for entry in released if entry.run_id in going])
                if spent := settlements([entry for entry in entries if entry.run_id in going]):
                    settle_postgres(connection, spent)
                reach("journal.before_commit")
        heads = _heads(passed)
        if any(entry.run_id not in heads for entry in entries):
            # Refused: a stale fence, or this very batch, sent over a connection that broke and
            # committed by the server only after it was asked whether it had been.
            heads |= _applied(connection, entries, commit_id) or {}
        return heads


def _heads(rows: Sequence[tuple[Any, ...]]) -> dict[UUID, Outcome]:
    return {row[0]: Committed(row[2], row[3], row[-1]) for row in rows}


def _check_moves(entries: Sequence[Entry], passed: Sequence[tuple[Any, ...]]) -> None:
    moved = passed[0][4] if passed else 0
    expected = sum(len(entry.moved) for entry in entries)
    if moved != expected:
        raise StaleStateError(
            f"{expected - moved} of {expected} ledger entries were no longer where their run "
            "believed them to be; nothing was written."
        )


def _applied(
    connection: psycopg.Connection[tuple[Any, ...]], entries: Sequence[Entry], commit_id: UUID
) -> dict[UUID, Outcome] | None:
    """Say whether the batch `commit_id` took effect before the connection broke."""
    rows = connection.execute(
        f"SELECT id, fence, head_sequence, control, debug_version FROM {sql.RUN}"
        " WHERE commit_id = %s AND id = ANY(%s)",
        (commit_id, [entry.run_id for entry in entries]),
    ).fetchall()
    return _heads(rows) if rows else None
