"""A site with long runs to look at, and a writer that makes one of them go on.

    DATABASE_URL=… REDIS_URL=… python -m tests.bench.run_page_site serve
    DATABASE_URL=… REDIS_URL=… python -m tests.bench.run_page_site write RUN RATE SECONDS
    DATABASE_URL=… REDIS_URL=… python -m tests.bench.run_page_site end PARENT RATE

`serve` writes one JSON line when it is ready. The writer is a process of its own, as a worker is:
its rows reach the pages by way of the database, its news by way of Redis.
"""

import json
import socket
import sys
import threading
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.bench.site import births, prepare

EVENTS = 5_000
EVENTS_A_STEP = 4
CHILDREN = 200
PASSWORD = "a-long-bench-pass-9"
WORDS = "The next page was read and holds nothing new; going on with the one behind it. " * 3


def step_rows(run: Any, number: int, sequence: int, position: int, at: Any) -> list[Any]:
    """Return the rows of one step: an answer, a call, its outcome, a checkpoint, four events."""
    from agents.models import Checkpoint, Message
    from core.ids import new_id
    from observability.models import TraceEvent
    from plugins.models import ToolCall

    call = new_id()
    about = {"call_id": str(call), "tool": "view", "effect": "read"}
    payloads = [
        ("step.model", {"step": number, "model": "m", "finish": "tool_calls", "text": WORDS[:80],
                        "tools": ["view"], "cost_usd": "0.00125", "duration_seconds": 0.004,
                        "usage": {"input_tokens": 900, "output_tokens": 40}}),
        ("tool.planned", about | {"state": "planned", "arguments": {"path": f"{number}.md"}}),
        ("tool.dispatched", about | {"state": "dispatched", "attempt": 1}),
        ("tool.settled", about | {"state": "committed", "attempt": 1, "result": WORDS[:100]}),
    ]  # fmt: skip
    asked = {"type": "tool_call", "id": f"c{number}", "name": "view",
             "arguments": {"path": f"{number}.md"}}  # fmt: skip
    answered = {"type": "tool_call_response", "id": f"c{number}", "result": WORDS}
    return [
        Message(run_id=run.pk, position=position, role="assistant", created_at=at,
                parts=[{"type": "text", "content": WORDS}, asked]),
        Message(run_id=run.pk, position=position + 1, role="tool", parts=[answered], created_at=at),
        ToolCall(id=call, workspace_id=run.workspace_id, run_id=run.pk, position=position, index=0,
                 provider_call_id=f"c{number}", tool="view", arguments={"path": f"{number}.md"},
                 effect="read", state="committed", attempt=1, result=WORDS, planned_at=at,
                 decision={"is_allowed": True, "rule": "r", "question": {"tool": {"name": "view"}}},
                 dispatched_at=at, settled_at=at),
        Checkpoint(run_id=run.pk, sequence=number, message_count=position + 2, created_at=at,
                   state={"schema": 1, "phase": "model", "iteration": number}),
        *(TraceEvent(workspace_id=run.workspace_id, run_id=run.pk, sequence=sequence + index,
                     kind=kind, at=at, payload=payload)
          for index, (kind, payload) in enumerate(payloads)),
    ]  # fmt: skip


def _insert(rows: list[Any]) -> None:
    by_model: dict[Any, list[Any]] = {}
    for row in rows:
        by_model.setdefault(type(row), []).append(row)
    for model, found in by_model.items():
        model.objects.bulk_create(found, batch_size=1_000)


def _born(workspace: Any, agent: str, count: int, **fields: Any) -> list[Any]:
    from agents.models import Run

    runs = []
    for birth in births(workspace, agent, count):
        row = birth.run
        runs.append(
            Run(id=row.id, workspace_id=row.workspace_id, agent_id=row.agent_id,
                agent_name=row.agent_name, version_id=row.version_id, snapshot_id=row.snapshot_id,
                root_id=fields.pop("root_id", row.root_id) if count == 1 else fields["root_id"],
                input="go", limits={}, available_at=row.available_at, created_at=row.created_at,
                started_at=row.created_at, updated_at=row.updated_at, state="running",
                **{name: value for name, value in fields.items() if name != "root_id"})
        )  # fmt: skip
    return list(Run.objects.bulk_create(runs))


def long_run(workspace: Any, agent: str) -> Any:
    """Make a run with 5,000 events behind it."""
    from agents.models import Message, Run
    from core import clock
    from observability.models import TraceEvent

    run = _born(workspace, agent, 1)[0]
    begun = clock.now() - timedelta(seconds=EVENTS)
    steps = (EVENTS - 1) // EVENTS_A_STEP
    rows: list[Any] = [
        Message(run_id=run.pk, position=0, role="user", created_at=begun,
                parts=[{"type": "text", "content": "Read all pages."}]),
        TraceEvent(workspace_id=run.workspace_id, run_id=run.pk, sequence=1, kind="run.created",
                   at=begun, payload={"state": "queued", "agent": agent}),
    ]  # fmt: skip
    for number in range(steps):
        at = begun + timedelta(seconds=(number + 1) * (EVENTS / steps))
        rows += step_rows(run, number + 1, 2 + number * EVENTS_A_STEP, 1 + 2 * number, at)
    _insert(rows)
    Run.objects.filter(pk=run.pk).update(
        created_at=begun, started_at=begun, iteration=steps, message_count=1 + 2 * steps,
        head_sequence=1 + steps * EVENTS_A_STEP, input_tokens=900 * steps, output_tokens=40 * steps,
    )  # fmt: skip
    return run


def wide_run(workspace: Any, agent: str) -> Any:
    """Make a run that waits for 200 children at work."""
    from agents.models import Run
    from core import clock
    from core.ids import new_id
    from observability.models import TraceEvent

    parent = _born(workspace, agent, 1)[0]
    calls = [new_id() for _ in range(CHILDREN)]
    children = _born(workspace, agent, CHILDREN, root_id=parent.pk, parent_id=parent.pk, depth=1)
    for child, call in zip(children, calls, strict=True):
        child.parent_call_id = call
    Run.objects.bulk_update(children, ["parent_call_id"])
    now = clock.now()
    events = [("run.created", {"state": "queued"})]
    for child, call in zip(children, calls, strict=True):
        about = {"call_id": str(call), "tool": "agent", "effect": "idempotent"}
        events.append(("tool.planned", about | {"state": "planned"}))
        events.append(("run.child", {"run_id": str(child.pk), "agent": agent}))
        parked = about | {"state": "waiting", "wait_kind": "children"}
        events.append(("tool.parked", parked))
    waiting = {"state": "waiting", "before": "running", "wait_kind": "children"}
    events.append(("run.state", waiting))
    _insert([
        TraceEvent(workspace_id=parent.workspace_id, run_id=parent.pk, sequence=number, kind=kind,
                   at=now, payload=payload)
        for number, (kind, payload) in enumerate(events, start=1)
    ])  # fmt: skip
    Run.objects.filter(pk=parent.pk).update(
        state="waiting", wait_kind="children", head_sequence=len(events)
    )
    return parent


def serve() -> None:
    import uvicorn

    from agentry_site.serving import server_config

    workspace, agent = prepare("", {"tools": []})
    from governance.models import User

    User.objects.create_user(username="bench", password=PASSWORD, is_staff=True, is_superuser=True)
    runs = {"long": long_run(workspace, agent), "wide": wide_run(workspace, agent)}
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    port = listening.getsockname()[1]
    server = uvicorn.Server(server_config())

    def announce() -> None:
        while not server.started:
            time.sleep(0.02)
        told = {"port": port, "runs": {name: str(run.pk) for name, run in runs.items()}}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    threading.Thread(target=announce, daemon=True).start()
    server.run(sockets=[listening])


def write(run_id: str, rate: float, seconds: float) -> dict[str, float]:
    """Append steps to a run, `rate` events a second; say when each event was committed."""
    from django.db import transaction

    from agents.models import Run
    from core import clock
    from observability import live
    from observability.contracts import Announcement

    run = Run.objects.get(pk=run_id)
    told: dict[str, float] = {}
    began = time.monotonic()
    for step in range(int(rate * seconds / EVENTS_A_STEP)):
        number = run.iteration + step + 1
        sequence = run.head_sequence + 1 + step * EVENTS_A_STEP
        head = sequence + EVENTS_A_STEP - 1
        position = run.message_count + 2 * step
        told |= dict.fromkeys(map(str, range(sequence, head + 1)), time.time() * 1000)
        with transaction.atomic():
            now = clock.now()
            _insert(step_rows(run, number, sequence, position, now))
            Run.objects.filter(pk=run.pk).update(
                head_sequence=head, iteration=number, message_count=position + 2, updated_at=now
            )
        live.announce([Announcement(run.workspace_id, run.pk, head)])
        ahead = (step + 1) * EVENTS_A_STEP / rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
    live.close()
    return told


def end(parent_id: str, rate: float) -> dict[str, float]:
    """End the children of a run one after the other; say when the first, the second, … did."""
    from agents.models import Run
    from core import clock

    told: dict[str, float] = {}
    began = time.monotonic()
    parent = UUID(parent_id)
    for number, child in enumerate(Run.objects.filter(parent_id=parent).order_by("pk"), start=1):
        told[str(number)] = time.time() * 1000
        now = clock.now()
        Run.objects.filter(pk=child.pk).update(state="succeeded", finished_at=now, updated_at=now)
        ahead = number / rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
    return told


def main() -> None:
    deed, *given = sys.argv[1:]
    if deed == "serve":
        serve()
        return
    run, rate, *rest = given
    told = write(str(UUID(run)), float(rate), float(rest[0])) if rest else end(run, float(rate))
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
