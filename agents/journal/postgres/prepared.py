"""Statements prepared once a connection and executed in one call that blocks its thread.

`Connection.execute` waits in turns: at each one its thread asks for the interpreter again, which
the engine's thread holds, for up to a switch interval. With one call for the whole conversation a
worker made a tenth more steps a second.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from psycopg import errors, pq

Row: TypeAlias = tuple[UUID, int, int, str, int, int]
_PLACE = re.compile(r"%\((\w+)\)s")


class PreparedStatements:
    """The prepared statements of one connection. For the connection's own thread."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self._known: dict[str, tuple[bytes, tuple[str, ...]]] = {}

    def heads(self, text: str, values: Mapping[str, str]) -> list[Row]:
        """Execute a statement that answers as `entries.statement` does; values are given as text.

        Raises:
            psycopg.Error: As `Connection.execute` would.
        """
        name, order = self._prepared(text)
        wire = self._connection.pgconn
        result = self._checked(wire.exec_prepared(name, [values[key].encode() for key in order]))
        return [
            (
                UUID(_text(result, row, 0)),
                int(_text(result, row, 1)),
                int(_text(result, row, 2)),
                _text(result, row, 3),
                int(_text(result, row, 4)),
                int(_text(result, row, 5)),
            )
            for row in range(result.ntuples)
        ]

    def _prepared(self, text: str) -> tuple[bytes, tuple[str, ...]]:
        known = self._known.get(text)
        if known is None:
            order = tuple(dict.fromkeys(_PLACE.findall(text)))
            numbered = _PLACE.sub(lambda place: f"${order.index(place[1]) + 1}", text)
            name = f"agentry_{len(self._known)}".encode()
            self._checked(self._connection.pgconn.prepare(name, numbered.encode()))
            known = self._known[text] = (name, order)
        return known

    def _checked(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            return result
        if self._connection.pgconn.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(self._connection.pgconn.get_error_message())
        raise errors.error_from_result(result)


def _text(result: pq.abc.PGresult, row: int, column: int) -> str:
    value = result.get_value(row, column)
    assert value is not None, "no column of the answer is null"
    return value.decode()
