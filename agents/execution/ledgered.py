"""Reading calls back: how they stand, by the ledger and by what they wait for, when nothing is to
be done about them."""

import msgspec

from agents.execution.context import ChildOutcome, LedgerRow, OpenCall, RunContext
from core import clock
from plugins.contracts import CallState, EffectClass, Park, WaitKind
from plugins.dispatch import CallRequest, PlannedCall, Settlement, failure
from plugins.ledger import LEDGER

_KEPT_IN_REPLAYS = frozenset({CallState.COMMITTED, CallState.FAILED, CallState.DENIED})


def open_call(row: LedgerRow) -> OpenCall:
    """Read a call back that another worker, or this one before it stopped, had open."""
    state = CallState(row.state)
    call = PlannedCall(
        id=row.id,
        request=CallRequest(
            index=row.index,
            provider_call_id=row.provider_call_id,
            tool=row.tool,
            arguments=row.arguments,
        ),
        state=state,
        effect=EffectClass(row.effect),
        spec_digest=row.spec_digest,
        arguments=row.arguments,
        arguments_digest=row.arguments_digest,
        decision=row.decision,
        attempt=row.attempt,
    )
    park = msgspec.convert(row.wait, Park) if row.wait else None
    return OpenCall(call=call, state=state, park=park, is_recovered=True)


def settled(row: LedgerRow) -> Settlement:
    """Return the outcome of a call that somebody else has settled."""
    state = CallState(row.state)
    is_whole = state is CallState.COMMITTED  # then also an empty result is the result
    return Settlement(
        state=state,
        text=row.result if is_whole else row.result or row.reason or f"The call was {row.state}.",
        is_error=row.is_error or state is not CallState.COMMITTED,
        reason=row.reason,
    )


def recorded(context: RunContext, known: OpenCall, asked_at: int) -> Settlement | None:
    """In a replay, answer from the record; nothing is ever done. None: this is no replay."""
    if context.recorded is None:
        return None
    row = context.recorded.outcomes.get((asked_at, known.call.request.index))
    if row is None or _asked_digest(row) != known.call.arguments_digest:
        return failure("The recorded run made no such call here; the replay has diverged.")
    outcome = settled(row)
    is_kept = outcome.state in _KEPT_IN_REPLAYS
    if is_kept and LEDGER.allows(known.state, outcome.state):
        return outcome
    return msgspec.structs.replace(outcome, state=CallState.FAILED)


def awaited(context: RunContext, known: OpenCall) -> Settlement | None:
    """Return what came of what a call waits for; None: it waits on."""
    park = known.park
    assert park is not None
    if park.kind is WaitKind.TIMER:
        if park.until is not None and park.until > clock.now().timestamp():
            return None
        return Settlement(state=CallState.COMMITTED, text="The wait is over.")
    if known.is_asked:
        return None  # it is settled in the ledger by whoever decides
    child = context.children.get(park.child_run_id) if park.child_run_id else None
    if child is None or not child.is_terminal:
        return None
    return _child_settlement(child)


def _asked_digest(row: LedgerRow) -> str:
    """The digest of what the model asked for, also where an approver changed it."""
    return str((row.decision or {}).get("asked_digest") or row.arguments_digest)


def _child_settlement(child: ChildOutcome) -> Settlement:
    if child.state == "succeeded":
        return Settlement(state=CallState.COMMITTED, text=child.output)
    return failure(
        f"The delegated run {child.run_id} {child.state}: {child.reason or 'no reason was given.'}"
    )
