"""What must be true of runs after anything that may happen to their workers.

Called inside a process that has the project set up (see `inside`). Each check returns sentences
about what is wrong; an empty list is a pass.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from agents.contracts import Role, RunState, ToolResponsePart
from agents.execution.claiming import history_of
from agents.models import Checkpoint, Message, Run
from agents.selectors.why import why
from agents.transitions import TERMINAL
from core.errors import StaleStateError
from governance.models import BudgetAccount, Reservation
from observability.models import TraceEvent
from plugins.contracts import CallState, WaitKind
from plugins.ledger import SETTLED
from plugins.models import ToolCall
from plugins.selectors import calls_in_doubt
from plugins.services.calls import call_resolve
from tests.chaos.scenario import person, tree


def settled(*, roots: list[str]) -> dict[str, Any]:
    """Say whether the trees move no further by themselves, and which calls need a person."""
    runs = list(tree(roots))
    doubtful = {run.pk for run in runs if _is_in_doubt(run)}
    parents = {run.parent_id for run in runs if run.pk in doubtful}
    moving = [
        run
        for run in runs
        if run.state not in TERMINAL and run.pk not in doubtful and run.pk not in parents
    ]
    return {
        "is_settled": not moving,
        "moving": [f"{run} {run.state} {run.wait_kind} {run.reason}" for run in moving[:5]],
        "in_doubt": len(doubtful),
        "crashes": sum(run.crashes for run in runs),
    }


def _is_in_doubt(run: Run) -> bool:
    return run.state == RunState.WAITING.value and run.wait_kind == WaitKind.IN_DOUBT.value


def complaints(*, roots: list[str], record: str, is_finished: bool = True) -> list[str]:
    """Check everything about these trees against themselves and against the counting server."""
    runs = list(tree(roots))
    found = list(_dense(runs))
    for run in runs:
        found += _history(run)
        found += _ledger(run)
        if is_finished and run.state not in TERMINAL:
            found.append(f"{run} is {run.state} {run.wait_kind}: {run.reason}")
        if run.state == RunState.FAILED.value or run.state == RunState.PAUSED.value:
            found.append(f"{run} is {run.state} {run.error_code}: {run.reason}")
    return found + list(_effects(runs, Path(record), is_finished=is_finished))


def money() -> dict[str, Any]:
    """Say what is set aside, and where what was spent is not what runs cost; nothing may run."""
    account = BudgetAccount.objects.get()
    # Added up here: SQLite adds in binary, and what it is off by is no money.
    cost = sum(Run.objects.values_list("cost_usd", flat=True), Decimal(0))
    is_right = account.spent_usd == cost > 0
    return {
        "reserved": str(account.reserved_usd),
        "complaints": [] if is_right else _unbalanced(account, cost),
    }


def _unbalanced(account: BudgetAccount, cost: Decimal) -> list[str]:
    found = [f"{account.spent_usd} is spent, and runs cost {cost}"]
    for run in Run.objects.all():
        rows = Reservation.objects.filter(run_id=run.pk)
        charged = sum((row.charged_usd or Decimal(0) for row in rows), Decimal(0))
        if charged != run.cost_usd:
            places = [f"{row.place} {row.state} {row.charged_usd}" for row in rows]
            found.append(f"{run} {run.state} cost {run.cost_usd}, was charged {charged}: {places}")
    return found


def _dense(runs: Sequence[Run]) -> Iterator[str]:
    """Positions and sequences have no gap and no double."""
    ids = [run.pk for run in runs]
    for model, field in ((Message, "position"), (Checkpoint, "sequence"), (TraceEvent, "sequence")):
        numbers: dict[UUID, list[int]] = defaultdict(list)
        for run_id, number in model.objects.filter(run_id__in=ids).values_list("run_id", field):
            numbers[run_id].append(number)
        for run in runs:
            if model is Message:
                wanted = range(run.prefix_length, run.message_count)
            elif model is Checkpoint:
                wanted = range(1, len(numbers[run.pk]) + 1)
            else:
                wanted = range(1, run.head_sequence + 1)
            if sorted(numbers[run.pk]) != list(wanted):
                name = model.__name__
                yield f"{run}: {name} numbers {sorted(numbers[run.pk])}, not {wanted}"


def _history(run: Run) -> Iterator[str]:
    """Every call of a run that succeeded is answered once, before the model is asked again."""
    if run.state != RunState.SUCCEEDED.value:
        return
    asked: list[str] = []
    answered: list[str] = []
    for message in history_of(run.pk, run.message_count):
        if message.role is Role.ASSISTANT:
            if sorted(asked) != sorted(answered):
                yield f"{run}: calls {asked} were answered by {answered}"
            asked, answered = [call.id for call in message.tool_calls], []
        answered += [part.id for part in message.parts if isinstance(part, ToolResponsePart)]
    if asked or answered:
        yield f"{run} succeeded with open calls: {asked} / {answered}"


def _ledger(run: Run) -> Iterator[str]:
    legal = {state.value for state in SETTLED}
    if run.state not in TERMINAL:
        return
    if run.state == RunState.CANCELLED.value:
        legal.add(CallState.IN_DOUBT.value)  # it was under way, and nobody waits for it any more
    for call in ToolCall.objects.filter(run_id=run.pk).exclude(state__in=legal):
        yield f"{run} is {run.state}, and its call {call.tool} is still {call.state}"


def effects(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()]


def _effects(runs: Sequence[Run], record: Path, *, is_finished: bool) -> Iterator[str]:
    """No keyed and no irreversible effect happened twice, and none that is recorded is missing."""
    counted: Counter[tuple[str, str]] = Counter()
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in effects(record):
        place = (line["run"], line["label"])
        if line["kind"] in {"keyed", "irreversible"}:
            keys[place].add(line["key"])
            counted[place] += not line["repeat"]
    ids = {str(run.pk) for run in runs}
    for place, times in counted.items():
        if place[0] in ids and (times > 1 or len(keys[place]) > 1):
            yield f"{place} happened {times} times with the keys {keys[place]}"
    calls = ToolCall.objects.filter(run_id__in=[run.pk for run in runs])
    for call in calls.filter(effect__in=["keyed", "irreversible"]):
        times = counted[(str(call.run_id), (call.arguments or {}).get("label", ""))]
        if call.state == CallState.COMMITTED.value and times != 1:
            yield f"{_told(call)} is recorded as done; it happened {times} times"
        if call.state == CallState.FAILED.value and times and is_finished:
            yield f"{_told(call)} is recorded as failed; it happened"


def _told(call: ToolCall) -> str:
    events = TraceEvent.objects.filter(run_id=call.run_id, kind__startswith="tool.")
    story = [
        f"{event.sequence}:{event.kind}:{event.payload.get('state')}:{event.payload.get('attempt')}"
        for event in events.order_by("sequence")
        if event.payload.get("call_id") == str(call.pk)
    ]
    return (
        f"{call.tool} {call.pk} of {call.run_id} with {call.arguments} ({call.result!r}, attempt "
        f"{call.attempt}, {call.reason!r}, {call.decision}, {story})"
    )


def resolve(*, roots: list[str], record: str, retries: bool) -> dict[str, Any]:
    """Settle every call in doubt by what the counting server knows, as a person would.

    What happened is `committed`; what did not is `retry` or `failed`. Checks on the way that each
    is visible: in the ledger's queue, in `why`, and with a reason.
    """
    happened = {line["key"] for line in effects(Path(record)) if line["kind"] == "irreversible"}
    counts: Counter[str] = Counter()
    found: list[str] = []
    for run in tree(roots):
        if not _is_in_doubt(run):
            continue
        calls = list(calls_in_doubt(run.pk))
        if not calls:
            continue
        reasons = why(run).reasons
        if {str(call.pk) for call in calls} - {reason.subject for reason in reasons}:
            found.append(f"{run} is in doubt and `why` does not name its calls: {reasons}")
        for call in calls:
            if not call.reason:
                found.append(f"{call.tool} of {run} is in doubt without a reason")
            outcome = _truth(call, happened, retries=retries)
            counts[outcome] += 1
            found += _resolve_twice(call, outcome)
    return {"counts": dict(counts), "complaints": found}


def _truth(call: ToolCall, happened: set[str], *, retries: bool) -> str:
    if f"agentry-{call.pk}" in happened:
        return "committed"
    return "retry" if retries else "failed"


def _resolve_twice(call: ToolCall, outcome: str) -> list[str]:
    call_resolve(actor=person(), call_id=call.pk, outcome=outcome)
    try:
        call_resolve(actor=person(), call_id=call.pk, outcome="failed")
    except StaleStateError:
        return []
    return [f"{call.tool} could be resolved twice"]


def size(*, roots: list[str]) -> int:
    return int(tree(roots).count())


def progress(*, roots: list[str]) -> dict[str, int]:
    """Count what the trees have behind them."""
    calls = ToolCall.objects.filter(run_id__in=tree(roots).values("pk"))
    return {"settled_calls": calls.filter(settled_at__isnull=False).count()}


def fences(*, roots: list[str]) -> dict[str, int]:
    """Return how often each run has been claimed."""
    return {str(pk): fence for pk, fence in tree(roots).values_list("pk", "fence")}


def unended(*, roots: list[str]) -> dict[str, int]:
    """Return the same of runs that have not ended."""
    rows = tree(roots).exclude(state__in=TERMINAL)
    return {str(pk): fence for pk, fence in rows.values_list("pk", "fence")}


def locked() -> list[str]:
    """Tell which statements of the database wait for which sessions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, pg_blocking_pids(pid), left(query, 200) FROM pg_stat_activity"
            " WHERE cardinality(pg_blocking_pids(pid)) > 0"
        )
        return [str(row) for row in cursor.fetchall()]


def left_open(*, seconds: int) -> list[str]:
    """Tell which sessions have stood still inside a transaction for so long."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT application_name, left(query, 200) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction'"
            " AND state_change < now() - make_interval(secs => %s)",
            [seconds],
        )
        return [str(row) for row in cursor.fetchall()]


def strangers(*, roots: list[str]) -> list[str]:
    """Name runs with rows that an earlier owner wrote after a later one had claimed the run.

    Every step's event follows the claim it belongs to, so between two claims the steps go on from
    where the first left off: a step that is there twice was written by two owners.
    """
    found = []
    for run in tree(roots):
        steps = [
            event.payload["step"]
            for event in TraceEvent.objects.filter(run_id=run.pk, kind="step.model").order_by(
                "sequence"
            )
        ]
        if steps != list(range(1, len(steps) + 1)):
            found.append(f"{run}: {steps}")
    return found


def hand_overs(*, roots: list[str]) -> list[float]:
    """Measure how long each released run was without an owner."""
    gaps = []
    for run in tree(roots):
        released = None
        for event in TraceEvent.objects.filter(run_id=run.pk).order_by("sequence"):
            if event.kind == "run.state" and event.payload.get("state") == "queued":
                released = event.at
            elif event.kind == "run.claimed" and released is not None:
                gaps.append((event.at - released).total_seconds())
                released = None
    return gaps


def reason(*, roots: list[str]) -> dict[str, str]:
    run = tree(roots).get()
    return {"error_code": run.error_code, "reason": run.reason}


def open_calls(*, roots: list[str]) -> list[str]:
    """Name calls that have no final state though their run has one."""
    legal = {state.value for state in SETTLED} | {CallState.IN_DOUBT.value}
    calls = ToolCall.objects.filter(run_id__in=tree(roots).filter(state__in=TERMINAL).values("pk"))
    return [f"{call.tool} {call.state}" for call in calls.exclude(state__in=legal)]
