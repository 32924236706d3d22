"""The rows of a large batch, copied: COPY's text format, one message a table.

Only rows of runs whose fence held are written, in the transaction that checked it. JSON has no raw
tabs or line ends, so that a backslash is the one character to escape.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from agents.journal import sql
from agents.journal.records import Entry

_encode = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode
_EVENTS = f"COPY {sql.EVENT} (workspace_id, run_id, sequence, txid, kind, at, payload) FROM STDIN"
_MESSAGES = f"COPY {sql.MESSAGE} ({sql.quoted(sql.MESSAGE_COLUMNS)}) FROM STDIN"
_CHECKPOINTS = f"COPY {sql.CHECKPOINT} ({sql.quoted(sql.CHECKPOINT_COLUMNS)}) FROM STDIN"


def copy_rows(
    connection: psycopg.Connection[tuple[Any, ...]],
    entries: Sequence[Entry],
    sequences: Mapping[UUID, int],
    txid: int,
) -> None:
    """Write events, messages and checkpoints of the entries whose run is in `sequences`, which
    says where its new events begin."""
    lines = _Lines(sequences, txid)
    for entry in entries:
        lines.take(entry)
    for statement, rows in (
        (_EVENTS, lines.events),
        (_MESSAGES, lines.messages),
        (_CHECKPOINTS, lines.checkpoints),
    ):
        if rows:
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(b"".join(rows))


class _Lines:
    """Lines for COPY, in the order of the entries."""

    def __init__(self, sequences: Mapping[UUID, int], txid: int) -> None:
        self._next = dict(sequences)
        self._txid = txid
        self._at: datetime | None = None
        self._at_text = b""
        self.events: list[bytes] = []
        self.messages: list[bytes] = []
        self.checkpoints: list[bytes] = []

    def take(self, entry: Entry) -> None:
        sequence = self._next.get(entry.run_id)
        if sequence is None:
            return
        run = entry.run_id.hex.encode()
        workspace = entry.workspace_id.hex.encode()
        for event in entry.events:
            self.events.append(
                b"%b\t%b\t%d\t%d\t%b\t%b\t%b\n"
                % (
                    workspace, run, sequence, self._txid, event.kind.encode(),
                    self._time(event.at), _json(event.payload),
                )
            )  # fmt: skip
            sequence += 1
        self._next[entry.run_id] = sequence
        for message in entry.messages:
            self.messages.append(
                b"%b\t%d\t%b\t%b\t%b\n"
                % (
                    run, message.position, message.role.encode(), _json(message.parts),
                    self._time(message.created_at),
                )
            )  # fmt: skip
        for checkpoint in entry.checkpoints:
            self.checkpoints.append(
                b"%b\t%d\t%d\t%b\t%b\n"
                % (
                    run, checkpoint.sequence, checkpoint.message_count, _json(checkpoint.state),
                    self._time(checkpoint.created_at),
                )
            )  # fmt: skip

    def _time(self, at: datetime) -> bytes:
        if at is not self._at:  # the rows of an entry share theirs
            self._at, self._at_text = at, at.isoformat().encode()
        return self._at_text


def _json(value: object) -> bytes:
    return _encode(value).replace(b"\\", b"\\\\")
