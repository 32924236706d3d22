"""What the engine remembers between two decisions, beside the messages themselves."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from agents.contracts import RunState, Usage


class Phase(StrEnum):
    MODEL = "model"  # the model is to be asked
    TOOLS = "tools"  # calls of the last answer are open
    DONE = "done"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one run; None is unbounded. Raising one resumes a yielded run."""

    max_iterations: int = 25
    max_tokens: int | None = None
    max_cost_usd: Decimal | None = None
    wall_seconds: float | None = None
    model_retries: int = 3


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, in words for people and a code for programs."""

    state: RunState
    output: str = ""
    code: str = ""
    reason: str = ""


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint's worth of state; small, and stored as JSON in `Checkpoint.state`.

    `open_calls` are indexes into the tool calls of the assistant message at `asked_position`.
    `failures` counts model failures in a row, `empties` empty answers in a row.
    """

    schema: int = 1
    phase: Phase = Phase.MODEL
    iteration: int = 0
    message_count: int = 0
    asked_position: int = -1
    open_calls: tuple[int, ...] = ()
    usage: Usage = Usage()
    cost_usd: Decimal = Decimal(0)
    cost_is_partial: bool = False
    failures: int = 0
    empties: int = 0
    verdict: Verdict | None = None
