"""DBOS Transact: an async workflow of STEPS async steps, each returning 200 bytes.

Stored per step: one row of `operation_outputs` with the serialized result, committed on its own
before the next step starts. Stored per run besides: the workflow's status with its inputs, and its
output. Settings are the library's own (pool of 20 connections) with logging turned down.
"""

import asyncio
import logging

import psycopg
from dbos import DBOS, SetWorkflowID

from tests.bench import durable_steps


@DBOS.step()
async def one_step(name: str, step: int) -> str:
    return durable_steps.result_of(name, step)


@DBOS.workflow()
async def one_run(name: str, steps: int) -> int:
    for step in range(steps):
        await one_step(name, step)
    return steps


async def benchmark(plan: durable_steps.Plan, url: str) -> dict[str, float]:
    """Measure the plan with workflows called in this process."""

    async def run_one(name: str) -> None:
        with SetWorkflowID(name):
            await one_run(name, plan.steps)

    async def stored_steps() -> int:
        return await asyncio.to_thread(_count, url)

    DBOS(
        config={
            "name": "bench",
            "system_database_url": "postgresql+psycopg://" + url.partition("://")[2],
            "log_level": "ERROR",
            "console_log_level": "ERROR",
        }
    )
    DBOS.launch()
    try:
        return await durable_steps.measure(plan, run_one, stored_steps)
    finally:
        DBOS.destroy()


def _count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM dbos.operation_outputs JOIN dbos.workflow_status"
            " USING (workflow_uuid) WHERE status = 'SUCCESS'"
        ).fetchone()
    assert row is not None, "count(*) always answers with a row"
    return int(row[0])


if __name__ == "__main__":
    logging.getLogger("dbos").setLevel(logging.ERROR)
    durable_steps.main(benchmark)
