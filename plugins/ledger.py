"""The effect ledger's state table: what may follow what in the life of one tool call."""

from core.state import StateTable
from plugins.contracts import CallState, EffectClass

S = CallState
LEDGER: StateTable[CallState] = StateTable(
    name="tool call",
    states=CallState,
    initial=S.PLANNED,
    edges={
        # Straight to committed: a replay takes the outcome from the record and does nothing.
        # Planned again: a person changed its arguments.
        S.PLANNED: frozenset(
            {
                S.PLANNED,
                S.WAITING,
                S.APPROVED,
                S.CLAIMED,
                S.DISPATCHED,
                S.COMMITTED,
                S.FAILED,
                S.DENIED,
                S.CANCELLED,
            }
        ),
        # Planned again: its arguments were changed, so policy is asked anew.
        S.WAITING: frozenset(
            {
                S.PLANNED,
                S.APPROVED,
                S.COMMITTED,
                S.FAILED,
                S.DENIED,
                S.EXPIRED,
                S.CANCELLED,
            }
        ),
        # Denied or expired: what was approved is not what would run any more.
        S.APPROVED: frozenset({S.PLANNED, S.CLAIMED, S.FAILED, S.DENIED, S.EXPIRED, S.CANCELLED}),
        S.CLAIMED: frozenset({S.CLAIMED, S.DISPATCHED, S.FAILED, S.CANCELLED}),
        S.DISPATCHED: frozenset(
            {S.DISPATCHED, S.WAITING, S.COMMITTED, S.FAILED, S.IN_DOUBT, S.CANCELLED}
        ),
        S.IN_DOUBT: frozenset({S.PLANNED, S.COMMITTED, S.FAILED}),
        S.COMMITTED: frozenset({S.COMPENSATED}),
        S.FAILED: frozenset(),
        S.DENIED: frozenset(),
        S.EXPIRED: frozenset(),
        S.CANCELLED: frozenset(),
        S.COMPENSATED: frozenset(),
    },
)
SETTLED = frozenset({S.COMMITTED, S.FAILED, S.DENIED, S.EXPIRED, S.CANCELLED, S.COMPENSATED})

# After a crash these may simply be done again: nothing changes, or the target drops the repeat.
REPEATABLE = frozenset({EffectClass.READ, EffectClass.IDEMPOTENT, EffectClass.KEYED})
# These need no commit between the intent and the effect: repeating them is always allowed.
UNCLAIMED = frozenset({EffectClass.READ, EffectClass.IDEMPOTENT})


def may_be_held(state: CallState, effect: EffectClass) -> bool:
    """Say whether a call can still be held: its effect has not begun, or may begin again."""
    if state is S.DISPATCHED:
        return effect in UNCLAIMED
    return state in {S.PLANNED, S.APPROVED, S.CLAIMED}
