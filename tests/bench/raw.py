"""Raw group commit: the fewest moving parts that make a step durable, as the yardstick.

One writer takes what queued while its previous commit was running (at most 500 steps), copies a
message row and a checkpoint row per step into PostgreSQL and commits; only then do those steps go
on. No fences, no state machine, no events, no JSON: what a real engine adds is the difference.

    DATABASE_URL=postgresql://… python -m tests.bench.raw CONC RUNS STEPS
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import psycopg

from core import clock, ids
from tests.bench import durable_steps

_BATCH_STEPS = 500

_TABLES = """
CREATE TABLE message (
    run uuid NOT NULL, position int NOT NULL, body text NOT NULL, created_at timestamptz NOT NULL,
    PRIMARY KEY (run, position)
);
CREATE TABLE checkpoint (
    run uuid NOT NULL, sequence int NOT NULL, state text NOT NULL, created_at timestamptz NOT NULL,
    PRIMARY KEY (run, sequence)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    run: UUID
    position: int
    body: str
    state: str
    committed: asyncio.Future[None]


class GroupWriter:
    """Commits queued steps together; a step waits for the commit that contains it."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self._queued: list[_Step] = []
        self._filled = asyncio.Event()

    async def commit(self, run: UUID, position: int, body: str, state: str) -> None:
        """Return once the step is durable."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queued.append(
            _Step(run=run, position=position, body=body, state=state, committed=committed)
        )
        self._filled.set()
        await committed

    async def write(self) -> None:
        """Flush for ever; a failed batch fails every step in it and ends the writer."""
        while True:
            await self._filled.wait()
            batch, self._queued = self._queued[:_BATCH_STEPS], self._queued[_BATCH_STEPS:]
            if not self._queued:
                self._filled.clear()
            try:
                await self._flush(batch)
            except psycopg.Error as error:
                for step in batch:
                    step.committed.set_exception(error)
                raise
            for step in batch:
                step.committed.set_result(None)

    async def _flush(self, batch: list[_Step]) -> None:
        now = clock.now()
        async with self._connection.cursor() as cursor:
            async with cursor.copy("COPY message FROM STDIN") as copy:
                for step in batch:
                    await copy.write_row((step.run, step.position, step.body, now))
            async with cursor.copy("COPY checkpoint FROM STDIN") as copy:
                for step in batch:
                    await copy.write_row((step.run, step.position, step.state, now))
        await self._connection.commit()


async def benchmark(plan: durable_steps.Plan, url: str) -> dict[str, float]:
    """Measure the plan with one connection and one writer on an empty database."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(_TABLES)
        await connection.commit()
        writer = GroupWriter(connection)
        writing = asyncio.create_task(writer.write())

        async def run_one(name: str) -> None:
            run = ids.new_id()
            for step in range(plan.steps):
                result = durable_steps.result_of(name, step)
                await writer.commit(run, step, result, result)

        async def stored_steps() -> int:
            cursor = await connection.execute(
                "SELECT count(*) FROM message JOIN checkpoint USING (run) WHERE position = sequence"
            )
            row = await cursor.fetchone()
            assert row is not None, "count(*) always answers with a row"
            return int(row[0])

        figures = await durable_steps.measure(plan, run_one, stored_steps)
        writing.cancel()
        return figures


if __name__ == "__main__":
    durable_steps.main(benchmark)
