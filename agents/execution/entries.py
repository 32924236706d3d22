"""Building journal entries: what one decision of a run makes durable, in one commit."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import Message, RunState, Usage
from agents.engine.loop import ModelAnswered, ToolSettled
from agents.engine.state import EngineState
from agents.execution.completion import Asked
from agents.execution.context import RunContext
from agents.journal.records import (
    ApprovalRow,
    BlobRow,
    CallMove,
    CallRow,
    CheckpointRow,
    Entry,
    EventRow,
    HeadRow,
    MessageRow,
    Progress,
    RunRow,
    SpendingRow,
)
from agents.transitions import RUN_TABLE
from core import clock
from core.ids import new_id
from core.redaction import redact_text
from observability.contracts import EventKind, RunStatePayload, StepModelPayload, ToolPayload
from plugins.contracts import CallState, WaitKind
from plugins.dispatch import PlannedCall, Settlement
from plugins.ledger import LEDGER

PREVIEW_CHARS = 2000


class Draft:
    """Collects what belongs into the next commit of one run; `entry` ends it.

    One driver uses one draft at a time; building it awaits nothing, so what it holds is one
    consistent view of the run.
    """

    def __init__(self, context: RunContext, state: EngineState) -> None:
        self._context = context
        self._state = state
        self._now = clock.now()
        self._events: list[EventRow] = []
        self._messages: list[MessageRow] = []
        self._checkpoints: list[CheckpointRow] = []
        self._planned: list[CallRow] = []
        self._moved: list[CallMove] = []
        self._blobs: list[BlobRow] = []
        self._children: list[RunRow] = []
        self._approvals: list[ApprovalRow] = []
        self._head: HeadRow | None = None
        self._closes = ""

    def event(self, kind: EventKind, payload: Any) -> None:
        self._events.append(EventRow(kind.value, self._now, payload))

    def answer(self, asked: Asked, answer: ModelAnswered) -> None:
        """Tell what the model said and used; the message itself is a row of its own."""
        self.event(
            EventKind.STEP_MODEL,
            StepModelPayload(
                step=self._state.iteration,
                model=asked.model,
                finish=answer.finish.value,
                text=answer.message.text[:PREVIEW_CHARS],
                tools=tuple(call.name for call in answer.message.tool_calls),
                usage=_usage(answer.usage),
                cost_usd=None if answer.cost_usd is None else str(answer.cost_usd),
                duration_seconds=round(asked.duration_seconds, 6),
            ),
        )

    def message(self, position: int, message: Message) -> None:
        self._messages.append(
            MessageRow(
                self._context.run_id,
                position,
                message.role.value,
                message.parts,
                self._now,
            )
        )

    def checkpoint(self, state: EngineState) -> None:
        """Store `state` as the next resumable point."""
        self._state = state
        self._context.checkpoint_sequence += 1
        self._checkpoints.append(
            CheckpointRow(
                self._context.run_id,
                self._context.checkpoint_sequence,
                state.message_count,
                state,
                self._now,
                self._context.workspace_digest,
            )
        )

    def files(self, digest: str, notes: Sequence[str]) -> None:
        """Record what the files are now, where this run has the turn; checkpoints name it."""
        context = self._context
        for note in notes:
            self.event(EventKind.RUN_NOTE, {"code": "workspace", "sentence": redact_text(note)})
        if digest:
            self._head = HeadRow(context.root_id, context.workspace_id, digest, self._now)
            context.workspace_digest = digest

    def plan(self, position: int, call: PlannedCall) -> None:
        """Enter a judged call into the ledger, settled already when it was refused."""
        settled = call.settlement
        self._planned.append(
            CallRow(
                id=call.id,
                workspace_id=self._context.workspace_id,
                run_id=self._context.run_id,
                position=position,
                index=call.request.index,
                provider_call_id=call.request.provider_call_id,
                tool=call.request.tool,
                spec_digest=call.spec_digest,
                arguments=call.arguments,
                arguments_digest=call.arguments_digest,
                effect=call.effect.value,
                state=call.state.value,
                attempt=call.attempt,
                result=settled.text if settled else "",
                is_error=settled.is_error if settled else False,
                reason=settled.reason if settled else "",
                decision=call.decision,
                planned_at=self._now,
                dispatched_at=self._now if call.state is CallState.DISPATCHED else None,
                settled_at=self._now if settled else None,
            )
        )
        self.event(EventKind.TOOL_PLANNED, _tool_payload(call, call.state, arguments=True))
        if settled:
            self.event(EventKind.TOOL_SETTLED, _tool_payload(call, call.state, settled))

    def move(
        self,
        call: PlannedCall,
        *,
        source: CallState,
        state: CallState,
        attempt: int,
        decision: dict[str, Any] | None = None,
    ) -> None:
        """Move a call that is not settled by it; `decision` is written when it is given."""
        _check_edge(source, state)
        self._moved.append(
            CallMove(
                id=call.id,
                run_id=self._context.run_id,
                source=source.value,
                state=state.value,
                attempt=attempt,
                decision=decision,
                dispatched_at=self._now if state is CallState.DISPATCHED else None,
            )
        )
        if state is CallState.DISPATCHED:
            payload = _tool_payload(call, state)
            self.event(EventKind.TOOL_DISPATCHED, msgspec.structs.replace(payload, attempt=attempt))

    def settle(self, call: PlannedCall, settlement: Settlement, *, source: CallState) -> None:
        """Record an outcome, or that the call waits or is in doubt."""
        _check_edge(source, settlement.state)
        self._moved.append(
            CallMove(
                id=call.id,
                run_id=self._context.run_id,
                source=source.value,
                state=settlement.state.value,
                attempt=call.attempt,
                wait=msgspec.to_builtins(settlement.park) if settlement.park else None,
                result=settlement.text,
                result_digest=settlement.full_digest,
                is_error=settlement.is_error,
                reason=settlement.reason,
                decision=settlement.decision,
                settled_at=self._now if settlement.is_final else None,
            )
        )
        if settlement.full is not None:
            self._blobs.append(
                BlobRow(
                    new_id(),
                    self._context.workspace_id,
                    settlement.full_digest,
                    len(settlement.full),
                    "text/plain; charset=utf-8",
                    settlement.full,
                    self._now,
                )
            )
        kind = EventKind.TOOL_SETTLED if settlement.is_final else EventKind.TOOL_PARKED
        self.event(kind, _tool_payload(call, settlement.state, settlement))

    def child(self, row: RunRow) -> None:
        self._children.append(row)
        self.event(EventKind.RUN_CHILD, {"run_id": row.id, "agent": row.agent_name})

    def approval(self, row: ApprovalRow) -> None:
        """Ask a person; the call that waits for the answer is settled as waiting beside it."""
        self._approvals.append(row)

    def close_asked(self, cause: str) -> None:
        """End what waits for a person; `cause` is a clause. For a run that ends."""
        self._closes = cause

    def entry(
        self,
        *,
        target: RunState = RunState.RUNNING,
        wait_kind: WaitKind = WaitKind.NONE,
        wake_in_seconds: float | None = None,
        reason: str = "",
        error_code: str = "",
        output: str | None = None,
        awaits: tuple[UUID, ...] = (),
    ) -> Entry:
        """Close the draft; with `target` other than running the owner lets the run go.

        `awaits`: calls that a person settles; when one is settled by then, the run goes on at once.
        """
        is_terminal = target in RUN_TABLE.terminal
        state = self._state
        if target is not RunState.RUNNING:
            if not RUN_TABLE.allows(RunState.RUNNING, target):
                raise ValueError(f"A run cannot go from running to {target}")
            self._moved_to(target, wait_kind, reason, error_code, output)
        progress = Progress(
            state=target.value,
            wait_kind=wait_kind.value,
            wake_at=_in(self._now, wake_in_seconds),
            reason=reason,
            error_code=error_code,
            output=output,
            finished_at=self._now if is_terminal else None,
            **_used(state),
        )
        context = self._context
        return Entry(
            run_id=context.run_id,
            workspace_id=context.workspace_id,
            fence=context.fence,
            progress=progress,
            events=tuple(self._events),
            messages=tuple(self._messages),
            checkpoints=tuple(self._checkpoints),
            planned=tuple(self._planned),
            moved=tuple(self._moved),
            blobs=tuple(self._blobs),
            children=tuple(self._children),
            approvals=tuple(self._approvals),
            spending=self._spending(),
            head=self._head,
            awaits=awaits,
            closes=self._closes,
            parent_id=context.parent_id if is_terminal else None,
            session_id=context.session_id,
        )

    def _spending(self) -> tuple[SpendingRow, ...]:
        """Settle what was set aside for the model call, or give it back when nobody answered."""
        held, self._context.held = self._context.held, None
        if held is None:
            return ()
        return (
            SpendingRow(
                id=held.id,
                reserved_usd=held.usd,
                charged_usd=held.charged_usd,
                accounts=held.accounts,
                at=self._now,
            ),
        )

    def _moved_to(
        self,
        target: RunState,
        wait_kind: WaitKind,
        reason: str,
        error_code: str,
        output: str | None,
    ) -> None:
        self.event(
            EventKind.RUN_STATE,
            RunStatePayload(
                state=target.value,
                before=RunState.RUNNING.value,
                is_terminal=target in RUN_TABLE.terminal,
                wait_kind=wait_kind.value,
                reason=reason,
                error_code=error_code,
                output=(output or "")[:PREVIEW_CHARS],
                usage=_usage(self._state.usage),
                cost_usd=str(self._state.cost_usd),
            ),
        )


def outcome(call: PlannedCall, settlement: Settlement) -> ToolSettled:
    """Say the outcome of a call in the engine's words."""
    return ToolSettled(
        index=call.request.index,
        call_id=call.request.provider_call_id,
        text=settlement.text,
        is_error=settlement.is_error,
    )


def _used(state: EngineState) -> dict[str, Any]:
    return {
        "message_count": state.message_count,
        "iteration": state.iteration,
        "input_tokens": state.usage.input_tokens,
        "output_tokens": state.usage.output_tokens,
        "cache_read_tokens": state.usage.cache_read_tokens,
        "cost_usd": state.cost_usd,
        "cost_is_partial": state.cost_is_partial,
    }


def _in(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=max(seconds, 0.0))


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
    }


def _check_edge(source: CallState, state: CallState) -> None:
    if not LEDGER.allows(source, state):
        raise ValueError(f"A tool call cannot go from {source} to {state}")


def _tool_payload(
    call: PlannedCall,
    state: CallState,
    settlement: Settlement | None = None,
    *,
    arguments: bool = False,
) -> ToolPayload:
    return ToolPayload(
        call_id=str(call.id),
        tool=call.request.tool,
        state=state.value,
        attempt=call.attempt,
        effect=call.effect.value,
        arguments=_bounded(call.arguments) if arguments else None,
        result=settlement.text[:PREVIEW_CHARS] if settlement else "",
        is_error=settlement.is_error if settlement else False,
        wait_kind=settlement.park.kind.value if settlement and settlement.park else "",
        approval=_approval(settlement),
        reason=settlement.reason[:PREVIEW_CHARS] if settlement else "",
    )


def _approval(settlement: Settlement | None) -> str:
    park = settlement.park if settlement else None
    return str(park.approval_id) if park and park.approval_id else ""


def _bounded(arguments: dict[str, Any] | None) -> dict[str, Any] | None:
    """Cut long texts; the whole arguments are in the ledger."""
    if arguments is None:
        return None
    return {name: _cut(value) for name, value in arguments.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= PREVIEW_CHARS else value[:PREVIEW_CHARS] + "…"
    if isinstance(value, int | float | bool) or value is None:
        return value
    text = msgspec.json.encode(value).decode()
    return value if len(text) <= PREVIEW_CHARS else text[:PREVIEW_CHARS] + "…"
