"""Decisions of policies a second, one after the other, by each engine.

    python -m tests.bench.policy [SECONDS]

A matrix is judged by its meaning, by the module it compiles to in a process beside this one with
its bundle built before, and by a stand-in for an OPA server over HTTP that evaluates with the same
library; then questions that were asked before, and what a workspace without a policy pays. No
other work goes on meanwhile, so that a figure is one asker's; threads share the processes.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence

from governance.policy.cached import CachedEngine
from governance.policy.contracts import PolicyEngine, PolicyInput
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool
from tests.bench.durable_steps import BenchError
from tests.bench.figures import Figures
from tests.conformance.policy.subjects import opa_process, pushed_engine
from tests.unit.governance.policy.kit import call

PATIENT_SECONDS = 60.0
RULE_COUNTS = (8, 100, 250)


def matrix_of(rules: int) -> str:
    """Return a matrix in which every rule asks for tool, person, argument and path."""
    return json.dumps(
        {
            "rules": [
                {
                    "tools": [f"tool{number}"],
                    "who": {"roles": ["dev", "ops*"]},
                    "arguments": {"command": {"glob": ["git *", "ls*"]}},
                    "paths": ["/workspace/**"],
                    "effect": ("deny", "ask", "allow")[number % 3],
                }
                for number in range(rules)
            ]
        }
    )


def questions_of(rules: int) -> list[PolicyInput]:
    """Return calls that the first, a middle and the last rule decide, and one that none does."""
    return [
        call(tool, roles=("dev",), arguments={"command": "git status"}, paths=("/workspace/a",))
        for tool in ("tool0", f"tool{rules // 2}", f"tool{rules - 1}", "other")
    ]


def per_second(decide: Callable[[PolicyInput], object], asked: Sequence[PolicyInput],
               seconds: float) -> float:  # fmt: skip
    """Return how many questions were answered a second, after each was answered once."""
    for question in asked:
        decide(question)
    count, begun = 0, time.perf_counter()
    while (taken := time.perf_counter() - begun) < seconds:
        for question in asked:
            decide(question)
        count += len(asked)
    return round(count / taken, 1)


def measured(rules: int, seconds: float) -> Figures:
    matrix = parse_matrix(matrix_of(rules))
    compiled = compile_matrix(matrix)
    asked = questions_of(rules)
    reference = MatrixEngine(matrix, digest=compiled.digest)
    pool = RegoPool(processes=1, start_seconds=60)
    try:
        rego = RegoEngine(compiled.module, pool=pool, deadline_seconds=PATIENT_SECONDS)
        _agree(rego, reference, asked)
        found: Figures = {
            "matrix": per_second(reference.decide, asked, seconds),
            "rego": per_second(rego.decide, asked, seconds),
            "cached": per_second(CachedEngine(rego, sees_run=False).decide, asked, seconds),
        }
    finally:
        pool.close()
    with (
        opa_process() as process,
        pushed_engine(
            process.url, compiled.module, digest=compiled.digest, seconds=PATIENT_SECONDS
        ) as opa,
    ):
        _agree(opa, reference, asked)
        found["opa"] = per_second(opa.decide, asked, seconds)
    return {"module_bytes": len(compiled.module), **found}


def _agree(engine: PolicyEngine, reference: PolicyEngine, asked: Sequence[PolicyInput]) -> None:
    for question in asked:
        decision = engine.decide(question)
        if decision != reference.decide(question):
            told = decision.reason or decision.rule
            raise BenchError(f"an engine answers otherwise about {question.tool.name}: {told}")


def ungoverned(count: int = 100_000) -> float:
    """Return the microseconds a call of a workspace without a policy pays at the gate."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    import django

    django.setup()
    from types import SimpleNamespace
    from typing import Any, cast

    from agents.execution.gate import CallGate

    nothing = cast("Any", SimpleNamespace(is_governed=False))

    async def judge() -> float:
        begun = time.perf_counter()
        for _ in range(count):
            await CallGate(nothing, nothing, nothing, 0).judge(nothing)
        return time.perf_counter() - begun

    return round(asyncio.run(judge()) / count * 1e6, 3)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    rules = {str(count): measured(count, seconds) for count in RULE_COUNTS}
    figures: Figures = {"rules": rules, "ungoverned_microseconds": ungoverned()}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
