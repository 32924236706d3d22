"""LangGraph with its PostgreSQL checkpointer: one node, STEPS supersteps, `durability="sync"`.

The node appends a 200-byte message. Stored per superstep: a row of `checkpoints` with the state,
the changed channel as a new blob (which holds all messages so far), and the node's writes; the
input and the first state are two more checkpoints per run. One saver over a pool of 16
connections, as its documentation shows it; the saver admits one operation at a time (its own
lock), whatever the pool. BENCH_LANGGRAPH_SAVERS=16 spreads the runs over 16 savers that share the
pool, which is not how it is documented but takes that lock out of the way.
"""

import itertools
import operator
import os
from typing import Annotated, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from tests.bench import durable_steps

_POOL_CONNECTIONS = 16


class State(TypedDict):
    name: str
    remaining: int
    messages: Annotated[list[str], operator.add]


async def one_step(state: State) -> dict:
    message = durable_steps.result_of(state["name"], state["remaining"])
    return {"messages": [message], "remaining": state["remaining"] - 1}


def after_step(state: State) -> str:
    return "step" if state["remaining"] > 0 else END


def graph_on(saver: AsyncPostgresSaver):
    graph = StateGraph(State)
    graph.add_node("step", one_step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", after_step, ["step", END])
    return graph.compile(checkpointer=saver)


async def benchmark(plan: durable_steps.Plan, url: str) -> dict[str, float]:
    """Measure the plan, each run a thread of its own."""
    async with AsyncConnectionPool(
        url,
        min_size=_POOL_CONNECTIONS,
        max_size=_POOL_CONNECTIONS,
        timeout=300,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    ) as pool:
        savers = [
            AsyncPostgresSaver(pool)
            for _ in range(int(os.environ.get("BENCH_LANGGRAPH_SAVERS", "1")))
        ]
        await savers[0].setup()
        graphs = itertools.cycle([graph_on(saver) for saver in savers])

        async def run_one(name: str) -> None:
            graph = next(graphs)
            config = {"configurable": {"thread_id": name}, "recursion_limit": plan.steps + 5}
            begin = State(name=name, remaining=plan.steps, messages=[])
            final = await graph.ainvoke(begin, config, durability="sync")
            if len(final["messages"]) != plan.steps:
                raise durable_steps.BenchError(
                    f"run {name} ended after {len(final['messages'])} steps"
                )

        async def stored_steps() -> int:
            async with pool.connection() as connection:
                cursor = await connection.execute(
                    "SELECT count(*) AS steps FROM checkpoints"
                    " WHERE metadata->>'source' = 'loop' AND (metadata->>'step')::int > 0"
                )
                row = await cursor.fetchone()
            return int(row["steps"])

        return await durable_steps.measure(plan, run_one, stored_steps)


if __name__ == "__main__":
    durable_steps.main(benchmark)
