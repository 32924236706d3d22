"""Tool calls of runs: planned from a model's answer, brought to an outcome through the door."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import Message
from agents.engine.state import EngineState
from agents.execution.context import OpenCall, RunContext
from agents.execution.gate import PolicyGate
from agents.execution.secrets import SecretDesk
from agents.execution.tooling import Toolbox
from agents.execution.turns import Turn, Turns
from agents.journal.records import ApprovalRow, RunRow
from core import tracing
from core.tracing.durable import call_place
from plugins.contracts import CallState, FileUse, Park, ToolContext
from plugins.dispatch import (
    CallRequest,
    EffectLog,
    PlannedCall,
    Settlement,
    failure,
)
from plugins.errors import ToolError
from plugins.ledger import REPEATABLE, SETTLED, UNCLAIMED
from sandbox.errors import SnapshotGoneError


class Performed(msgspec.Struct, frozen=True):
    """What became of a call, with the row that is to be born in the same commit, if any."""

    settlement: Settlement
    turn: Turn | None = None
    child: RunRow | None = None
    approval: ApprovalRow | None = None


# Builds the row of a child run, or raises ToolError; runs database work off the loop.
Spawner = Callable[[RunContext, dict[str, Any], UUID], Awaitable[RunRow]]


def folder_of(workspaces: Path, context: RunContext) -> Path:
    """Return the folder that a run shares with everything it delegates to."""
    return workspaces / str(context.workspace_id) / str(context.root_id)


class CallRunner:
    """Shared by all drivers of a process; the state of calls is in the run's context."""

    def __init__(
        self,
        *,
        toolbox: Toolbox,
        spawn: Spawner,
        gate: PolicyGate,
        secrets: SecretDesk,
        turns: Turns,
        workspaces: Path,
    ) -> None:
        self._toolbox = toolbox
        self._spawn = spawn
        self._gate = gate
        self._secrets = secrets
        self._turns = turns
        self._workspaces = workspaces

    def plan(self, context: RunContext, message: Message) -> list[PlannedCall]:
        """Judge the calls of a model's answer and keep the allowed ones open."""
        calls = message.tool_calls
        if not calls:
            return []
        requests = [
            CallRequest(
                index=index,
                provider_call_id=call.id,
                tool=call.name,
                arguments=call.arguments,
                raw_arguments=call.raw_arguments,
            )
            for index, call in enumerate(calls)
        ]
        planned = self._toolbox.door(context).plan(
            requests, is_governed=context.is_governed, is_held=context.is_debugged
        )
        context.ledger.clear()
        context.open = {
            call.request.index: OpenCall(call=call, state=call.state)
            for call in planned
            if call.settlement is None
        }
        return planned

    def unplanned(
        self, context: RunContext, state: EngineState, history: Sequence[Message]
    ) -> list[PlannedCall]:
        """Judge open calls that this run's ledger does not know (a fork inherits such)."""
        missing = set(state.open_calls) - set(context.open) - set(context.ledger)
        if not missing:
            return []
        asked = history[context.context_length + state.asked_position]
        known = dict(context.open)
        ledger = dict(context.ledger)
        planned = [call for call in self.plan(context, asked) if call.request.index in missing]
        context.open = known | {
            index: call for index, call in context.open.items() if index in missing
        }
        context.ledger = ledger
        return planned

    def moved(self, context: RunContext, call: PlannedCall, state: CallState, attempt: int) -> None:
        known = context.open[call.request.index]
        known.state = state
        known.call = msgspec.structs.replace(
            known.call, attempt=attempt, state=state, decision=call.decision
        )

    def abandoned(
        self, context: RunContext, cause: str
    ) -> list[tuple[PlannedCall, CallState, Settlement]]:
        """Say how open calls end when the run ends before them; `cause` is a clause.

        What never began is cancelled. What was under way and may have happened stays in doubt.
        """
        result: list[tuple[PlannedCall, CallState, Settlement]] = []
        for known in context.open.values():
            if known.state is CallState.IN_DOUBT or known.state in SETTLED:
                continue
            if known.is_asked:
                continue  # somebody may be deciding; closed in the commit that ends the run
            is_doubtful = known.state is CallState.DISPATCHED and known.call.effect not in UNCLAIMED
            settlement = Settlement(
                state=CallState.IN_DOUBT if is_doubtful else CallState.CANCELLED,
                reason=f"{cause} while the call was under way." if is_doubtful else f"{cause}.",
            )
            result.append((known.call, known.state, settlement))
        return result

    async def first_turn(self, context: RunContext, planned: Sequence[PlannedCall]) -> Turn | None:
        """Keep the files as they are before the first of a run's calls that needs them.

        So the point from which the calls begin can be forked and gone back to. To be ended when
        the intent is committed; None when there is nothing to do.
        """
        if context.workspace_digest or context.recorded is not None:
            return None
        is_needed = any(
            call.settlement is None and self._files(context, call) is not FileUse.NONE
            for call in planned
        )
        if not is_needed:
            return None
        try:
            return await self._turns.first(context)
        except SnapshotGoneError:
            return None  # the call itself will say so, when the intent is written

    async def perform(
        self, context: RunContext, known: OpenCall, log: EffectLog, position: int
    ) -> Performed:
        """Bring a call to an outcome. Of one that changes files the turn comes with it.

        What it begins, in a sandbox or elsewhere, belongs to the call's span.
        """
        if not tracing.is_on():
            return await self._perform(context, known, log, position)
        with tracing.within(call_place(context.place, known.call.id)):
            return await self._perform(context, known, log, position)

    async def _perform(
        self, context: RunContext, known: OpenCall, log: EffectLog, position: int
    ) -> Performed:
        door = self._toolbox.door(context)
        use = self._files(context, known.call)
        turn = self._turns.of(context, use, keeps=known.call.effect not in REPEATABLE)
        tool_context = self._tool_context(context, known.call)
        try:
            if known.is_recovered and known.state is CallState.DISPATCHED:
                settlement = await door.recover(known.call, tool_context, log, turn)
            else:
                gate = self._gate.of(context, known, position)
                settlement = await door.perform(known.call, tool_context, log, gate, turn)
        except ToolError as error:  # no turn was to be had; nothing began
            return Performed(failure(str(error)))
        if turn is None or turn.begun is None:
            return Performed(settlement)
        if turn.left is not None and turn.left.told and settlement.is_final:
            text = f"{settlement.text}\n\n[{turn.left.told}]".lstrip()
            settlement = msgspec.structs.replace(settlement, text=text)
        return Performed(settlement, turn)

    def _files(self, context: RunContext, call: PlannedCall) -> FileUse:
        bound = self._toolbox.door(context).bound(call.request.tool)
        return bound.files if bound is not None else FileUse.NONE

    async def spawned(self, context: RunContext, call: PlannedCall, park: Park) -> Performed:
        """Turn the wish for a child run into its row, created in the commit that records it."""
        assert park.spawn is not None
        try:
            row = await self._spawn(context, park.spawn, call.id)
        except ToolError as error:
            return Performed(failure(str(error)))
        park = msgspec.structs.replace(park, spawn=None, child_run_id=row.id)
        return Performed(Settlement(state=CallState.WAITING, park=park), child=row)

    def asked(self, call: PlannedCall, settlement: Settlement) -> Performed:
        """Turn the wish to ask a person into its row, created in the commit that records it."""
        assert settlement.park is not None
        wanted = msgspec.convert(settlement.park.ask, ApprovalRow)
        row = msgspec.structs.replace(wanted, subject_id=call.id, arguments=call.arguments)
        park = msgspec.structs.replace(settlement.park, ask=None, approval_id=row.id)
        return Performed(msgspec.structs.replace(settlement, park=park), approval=row)

    def _tool_context(self, context: RunContext, call: PlannedCall) -> ToolContext:
        workspace = folder_of(self._workspaces, context)
        bound = self._toolbox.door(context).bound(call.request.tool)
        secrets = None
        if bound is not None:
            secrets = self._secrets.reader(
                workspace_id=context.workspace_id,
                run_id=context.run_id,
                call_id=call.id,
                spec=bound.spec,
            )
        return ToolContext(
            run_id=context.run_id,
            workspace_id=context.workspace_id,
            call_id=call.id,
            idempotency_key=f"agentry-{call.id}",
            attempt=call.attempt,
            workspace_path=workspace,
            config=self._toolbox.config(context, call.request.tool),
            secrets=secrets,
            sandbox=self._toolbox.sandbox(context, call.request.tool, workspace),
        )
