"""The debugger of a run: what is set, where the run stands, and what a person may change there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import Message, Role, RunErrorCode, RunState
from agents.engine.debugging import (
    Debug,
    HeldCall,
    Next,
    Passed,
    Place,
    arguments_text,
    place_of,
)
from agents.engine.history import message_of
from agents.engine.state import EngineState, Phase
from agents.models import Checkpoint, Run
from agents.selectors.history import run_messages
from agents.transitions import LIVE
from plugins.contracts import CallState, EffectClass
from plugins.ledger import may_be_held
from plugins.selectors import calls_of_runs

HELD = frozenset({RunErrorCode.STEP.value, RunErrorCode.BREAKPOINT.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call without an outcome. `id` is None while a fork has not entered it into its ledger."""

    index: int
    id: UUID | None
    tool: str
    state: str
    arguments: dict[str, Any] | None
    is_held: bool
    is_editable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMessage:
    """A message that the model has not seen yet."""

    position: int
    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a run stands, by its last checkpoint; `place` None: it has not begun."""

    checkpoint: Checkpoint | None
    state: EngineState
    place: Place | None
    calls: tuple[OpenCall, ...] = ()
    messages: tuple[OpenMessage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Debugger:
    """What a person needs to go on: `version` names what they have seen."""

    run: Run
    version: int
    debug: Debug
    is_set: bool
    is_held: bool
    by: str
    deed: str
    next: str
    standing: Standing
    held_below: Sequence[Run]

    @property
    def is_paused(self) -> bool:
        return self.run.state == RunState.PAUSED.value

    @property
    def can_add(self) -> bool:
        place = self.standing.place
        return self.is_paused and place is not None and place.next is not Next.TOOLS


def debug_of(run: Run) -> Debug:
    return Debug() if run.debug is None else msgspec.convert(run.debug, Debug)


def passed_of(run: Run) -> Passed:
    return Passed() if run.debug_passed is None else msgspec.convert(run.debug_passed, Passed)


def debugger_of(run: Run) -> Debugger:
    """Describe a run's debugger. The caller has checked that the run may be seen."""
    passed = passed_of(run)
    standing = standing_of(run)
    below = Run.objects.filter(
        root_id=run.root_id, state=RunState.PAUSED.value, error_code__in=HELD
    ).exclude(pk=run.pk)
    return Debugger(
        run=run,
        version=run.debug_version,
        debug=debug_of(run),
        is_set=run.debug is not None,
        is_held=run.state == RunState.PAUSED.value and run.error_code in HELD,
        by=passed.by,
        deed=passed.deed,
        next=Next.MODEL.value if standing.place is None else standing.place.next.value,
        standing=standing,
        held_below=list(below.order_by("pk")[:20]) if run.state in LIVE else [],
    )


def standing_of(run: Run) -> Standing:
    """Read where a run stands. Of one that a worker drives, where it stood at its last commit."""
    row = Checkpoint.objects.filter(run=run).order_by("-sequence").first()
    if row is None:
        return Standing(checkpoint=None, state=EngineState(), place=None)
    state = msgspec.json.decode(msgspec.json.encode(row.state), type=EngineState)
    if state.phase is Phase.TOOLS:
        return _at_tools(run, row, state)
    tail = _tail(run, state)
    said = tail[0][1].text if tail and tail[0][1].role is Role.ASSISTANT else ""
    unseen = () if state.phase is Phase.DONE else tuple(_unseen(tail))
    is_said_last = bool(tail) and tail[-1][1].role is Role.ASSISTANT
    place = place_of(state, agent=run.agent_name, said=said if is_said_last else "")
    return Standing(checkpoint=row, state=state, place=place, messages=unseen)


def _tail(run: Run, state: EngineState) -> list[tuple[int, Message]]:
    """Return the messages from the model's last answer on; all of them when it gave none."""
    rows = run_messages(run).filter(position__lt=state.message_count)
    last = rows.filter(role=Role.ASSISTANT.value).order_by("-position").first()
    since = 0 if last is None else last.position
    return [
        (row.position, message_of(row.role, row.parts)) for row in rows.filter(position__gte=since)
    ]


def _unseen(tail: Sequence[tuple[int, Message]]) -> list[OpenMessage]:
    found = []
    for position, message in tail:
        if message.role is Role.ASSISTANT:
            continue
        part = message.parts[0]
        text = getattr(part, "result", None)
        found.append(
            OpenMessage(
                position=position,
                role=message.role.value,
                text=message.text if text is None else text,
            )
        )
    return found


def _at_tools(run: Run, row: Checkpoint, state: EngineState) -> Standing:
    asked = run_messages(run).get(position=state.asked_position)
    message = message_of(asked.role, asked.parts)
    rows = {
        call.index: call
        for _, call in calls_of_runs([run.pk])
        if call.position == state.asked_position
    }
    calls = []
    for index in state.open_calls:
        known = rows.get(index)
        if known is None:  # a fork took it over and has not judged it yet
            part = message.tool_calls[index]
            call = OpenCall(
                index=index,
                id=None,
                tool=part.name,
                state=CallState.PLANNED.value,
                arguments=part.arguments,
                is_held=True,
                is_editable=False,
            )
        else:
            where = CallState(known.state)
            call = OpenCall(
                index=index,
                id=known.pk,
                tool=known.tool,
                state=known.state,
                arguments=known.arguments,
                is_held=may_be_held(where, EffectClass(known.effect)),
                is_editable=call_is_editable(where, known.wait),
            )
        calls.append(call)
    held = tuple(
        HeldCall(
            index=call.index,
            tool=call.tool,
            arguments=arguments_text(call.arguments),
            has_begun=not call.is_held,
        )
        for call in calls
    )
    place = place_of(state, agent=run.agent_name, said=message.text, calls=held)
    return Standing(checkpoint=row, state=state, place=place, calls=tuple(calls))


def call_is_editable(state: CallState, wait: dict[str, Any] | None) -> bool:
    """Say whether a call's arguments may still be changed: it is planned, or people are asked."""
    is_asked = state is CallState.WAITING and bool((wait or {}).get("approval_id"))
    return is_asked or state in {CallState.PLANNED, CallState.APPROVED}
