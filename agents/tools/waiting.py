"""Tools that park the run: `wait` for a time, `agent` for another agent's answer.

They do nothing themselves. They say what the run waits for; whoever called them records the wait,
and for `agent` the child run, in one transaction.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from agents.tools.arguments import Arguments, decode, schema_of
from core import clock
from plugins.contracts import EffectClass, Park, ToolContext, ToolResult, ToolSpec, WaitKind
from plugins.errors import InvalidArgumentsError

MAX_WAIT_SECONDS = 30 * 24 * 3600


class WaitArguments(Arguments, frozen=True, kw_only=True):
    seconds: (
        Annotated[
            float,
            Meta(ge=0, le=MAX_WAIT_SECONDS, description="How long to wait, at most 30 days."),
        ]
        | UnsetType
    ) = UNSET
    until: (
        Annotated[
            str,
            Meta(
                max_length=40,
                description="Or when to go on, with the offset: 2030-01-31T09:00:00Z.",
            ),
        ]
        | UnsetType
    ) = UNSET


class WaitTool:
    """A durable timer: survives restarts and holds no worker."""

    spec = ToolSpec(
        name="wait",
        description=(
            "Wait for some seconds or until a time, at most 30 days. Give either seconds or "
            "until. Waiting costs nothing and survives restarts."
        ),
        input_schema=schema_of(WaitArguments),
        effect=EffectClass.READ,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult | Park:
        wanted = decode(WaitArguments, arguments, "wait")
        now = clock.now()
        if wanted.seconds is not UNSET and wanted.until is UNSET:
            return Park(kind=WaitKind.TIMER, until=now.timestamp() + wanted.seconds)
        if wanted.until is UNSET or wanted.seconds is not UNSET:
            raise InvalidArgumentsError(
                "wait needs either seconds or until.", remedy="Give exactly one of them."
            )
        until = _time(wanted.until)
        if until <= now:
            return ToolResult(text=f"{wanted.until} has passed already.")
        if (until - now).total_seconds() > MAX_WAIT_SECONDS:
            raise InvalidArgumentsError(
                f"{wanted.until} is more than 30 days away.", remedy="Wait in several steps."
            )
        return Park(kind=WaitKind.TIMER, until=until.timestamp())


def _time(text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidArgumentsError(
            f"{text!r} is not a time.", remedy="Write it like 2030-01-31T09:00:00Z."
        ) from error
    if value.tzinfo is None:
        raise InvalidArgumentsError(
            f"{text!r} does not say its time zone.", remedy="Add Z or an offset such as +02:00."
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidArgumentsError(f"{text!r} is out of range.") from error


class AgentArguments(Arguments, frozen=True, kw_only=True):
    agent: Annotated[
        str, Meta(min_length=1, max_length=200, description="The name of the agent to ask.")
    ]
    input: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1_000_000,
            description="The task, with everything the agent needs to know: it sees only this.",
        ),
    ]


class AgentTool:
    """Delegate to another agent."""

    spec = ToolSpec(
        name="agent",
        description=(
            "Give a task to another agent and wait for its answer. It works in its own run and "
            "sees only the input you write. To ask several agents at once, make several calls in "
            "one turn."
        ),
        input_schema=schema_of(AgentArguments),
        # The child is created in the transaction that records the wait, so never twice.
        effect=EffectClass.IDEMPOTENT,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Park:
        wanted = decode(AgentArguments, arguments, "agent")
        return Park(kind=WaitKind.CHILDREN, spawn={"agent": wanted.agent, "input": wanted.input})
