"""Runs told to metrics as an engine tells them, with more names than a site has series for.

    DATABASE_URL=… python -m tests.bench.series_told FIRST COUNT

A process of its own that takes a place among those of its host, tells of COUNT runs from number
FIRST on, and ends. Each run is claimed, asks a model twice, calls a tool and ends; nothing of it is
executed. Every tenth name of an agent, a model or a tool tries to break out of the page of metrics,
as a name that a model makes up may.
"""

import os
import sys
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final

AGENTS: Final = 3_000
MODELS: Final = 700
TOOLS: Final = 1_300
_HOSTILE: Final = (
    '{name}"}} 1\nagentry_forged_total{{x="',
    "{name}\\",
    "{name}\n# TYPE forged counter",
    "{name}{{}},=\t\x00\x7f",
    "{name} \u202e\U0001f4a5 \ud7ff",
    "{name}" + "x" * 5_000,
    "",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One run by its number: who ran, asked whom, called what, and how it ended."""

    agent: str
    models: tuple[str, str]
    tool: str
    state: str
    code: str
    outcome: str


def name(kind: str, number: int) -> str:
    """Return a name of its own; every tenth is hostile."""
    plain = f"{kind}-{number}"
    if number % 10 != 7:
        return plain
    return _HOSTILE[number // 10 % len(_HOSTILE)].format(name=plain)


def told(number: int) -> Told:
    from agents.contracts import RunErrorCode

    codes = [code.value for code in RunErrorCode]
    state = ("succeeded", "succeeded", "failed", "cancelled")[number % 4]
    return Told(
        agent=name("agent", number % AGENTS),
        models=(name("model", number % MODELS), name("model", number * 7 % MODELS)),
        tool=name("tool", number * 3 % TOOLS),
        state=state,
        code=codes[number % len(codes)] if state == "failed" else "",
        outcome=("committed", "failed", "denied")[number % 3],
    )


def tell(first: int, count: int) -> None:
    """Tell of runs by the engine's own words for it."""
    for number in range(first, first + count):
        _tell(told(number), number)


def _tell(run: Told, number: int) -> None:
    from agents.execution import telling
    from agents.metrics import EndedRun, run_ended, run_errors
    from core.ids import new_id
    from core.metrics.instruments import TOOL_CALLS, TOOL_SECONDS

    run_id = new_id()
    context: Any = SimpleNamespace(run_id=run_id, fence=1, recorded=None, agent=run.agent)
    telling.run_claimed(context)
    for place, model in enumerate(run.models):
        telling.model_asked(context, _asked(model, place, number), (), began_ns=0)
    TOOL_CALLS.add(1, run.tool, run.outcome)
    TOOL_SECONDS.observe(0.01, run.tool)
    run_errors(run.code)
    run_ended(
        EndedRun(
            id=run_id, workspace_id=run_id, agent_name=run.agent, state=run.state,
            error_code=run.code, depth=0, root_id=run_id, parent_call_id=None, trace_parent="",
        ),
        {},
    )  # fmt: skip


def _asked(model: str, place: int, number: int) -> Any:
    from agents.contracts import FinishReason, Message, Role, Usage
    from agents.engine.loop import ModelAnswered, ModelFailed
    from agents.execution.completion import Asked

    if place and number % 5 == 0:
        failed = ModelFailed(code="provider_error", sentence="no", is_retryable=False)
        return Asked(event=failed, model=model, duration_seconds=0.2)
    answered = ModelAnswered(
        message=Message(role=Role.ASSISTANT, parts=()),
        usage=Usage(input_tokens=100, output_tokens=10, cache_read_tokens=5 * place),
        finish=FinishReason.STOP,
        cost_usd=None if number % 3 == 0 else Decimal("0.001"),
    )
    return Asked(event=answered, model=model, duration_seconds=0.2)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    import django

    django.setup()
    from observability.telemetry import telemetry_start, telemetry_stop

    telemetry_start("worker")
    tell(int(sys.argv[1]), int(sys.argv[2]))
    telemetry_stop()


if __name__ == "__main__":
    main()
