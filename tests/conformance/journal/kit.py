"""Rows as an owner would hand them over, on whichever database the tests run."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.db import connection

from agents.contracts import RunKind
from agents.engine_process import make_journal
from agents.journal.journal import Journal, Writer
from agents.journal.records import (
    Birth,
    CallMove,
    CallRow,
    CheckpointRow,
    Entry,
    EventRow,
    MessageRow,
    Outcome,
    Progress,
    RunRow,
)
from agents.models import Checkpoint, Message, Run, RunSnapshot
from core import clock
from core.ids import new_id
from governance.models import Workspace
from observability.models import TraceEvent
from plugins.models import ToolCall

DIGEST = "a" * 64
T = TypeVar("T")


class Heads(list[tuple[UUID, UUID, int]]):
    """Announcements in order."""

    def of(self, run_id: UUID) -> list[int]:
        return [head for _, run, head in self if run == run_id]


def make_writer() -> Writer:
    """Open the writer that production would use on this database."""
    journal = make_journal()
    writer = journal._writer
    journal.close()  # the writer connects again when it is used
    return writer


def is_postgres() -> bool:
    return connection.vendor == "postgresql"


def running(workspace: Workspace, **fields: Any) -> Run:
    """A run that a worker owns under fence 1, with its first event."""
    RunSnapshot.objects.get_or_create(
        digest=DIGEST, defaults={"workspace": workspace, "content": {}}
    )
    now, run_id = clock.now(), new_id()
    known: dict[str, Any] = {
        "state": "running",
        "fence": 1,
        "worker_id": new_id(),
        "lease_until": now,
        "root_id": run_id,
        "head_sequence": 1,
        "agent_name": "helper",
    }
    run = Run.objects.create(
        pk=run_id,
        workspace=workspace,
        snapshot_id=DIGEST,
        available_at=now,
        created_at=now,
        updated_at=now,
        **{**known, **fields},
    )
    TraceEvent.objects.create(
        workspace_id=workspace.pk, run_id=run.pk, sequence=1, kind="run.created", at=now, payload={}
    )
    return run


def entry(run: Run, *kinds: str, state: str = "running", **fields: Any) -> Entry:
    progress = {
        name: fields.pop(name) for name in list(fields) if name in Progress.__struct_fields__
    }
    if state in {"succeeded", "failed", "cancelled"}:
        progress.setdefault("finished_at", clock.now())
    known: dict[str, Any] = {
        "run_id": run.pk,
        "workspace_id": run.workspace_id,
        "fence": 1,
        "progress": Progress(state=state, **progress),
        "events": tuple(
            EventRow(kind, clock.now(), {"n": kind}) for kind in kinds or ("step.model",)
        ),
        "parent_id": run.parent_id if state in {"succeeded", "failed", "cancelled"} else None,
        "session_id": run.session_id,
    }
    return Entry(**{**known, **fields})


def message(run: Run, position: int, text: str = "hello") -> MessageRow:
    parts = [{"type": "text", "content": text}]
    return MessageRow(run.pk, position, "user", parts, clock.now())


def checkpoint(run: Run, sequence: int) -> CheckpointRow:
    state = {"phase": "model", "cost_usd": Decimal("0.10")}
    return CheckpointRow(run.pk, sequence, 1, state, clock.now())


def call_row(run: Run, index: int = 0, state: str = "planned", **fields: Any) -> CallRow:
    return CallRow(
        id=new_id(),
        workspace_id=run.workspace_id,
        run_id=run.pk,
        position=1,
        index=index,
        provider_call_id=f"c{index}",
        tool="pay",
        spec_digest="s",
        arguments={"n": 1},
        arguments_digest="d",
        effect="irreversible",
        state=state,
        planned_at=clock.now(),
        **fields,
    )


def move(call: CallRow, source: str, state: str, **fields: Any) -> CallMove:
    return CallMove(id=call.id, run_id=call.run_id, source=source, state=state, attempt=1, **fields)


def run_row(workspace: Workspace, **fields: Any) -> RunRow:
    RunSnapshot.objects.get_or_create(
        digest=DIGEST, defaults={"workspace": workspace, "content": {}}
    )
    now, run_id = clock.now(), new_id()
    known: dict[str, Any] = {
        "id": run_id,
        "workspace_id": workspace.pk,
        "kind": RunKind.AGENT.value,
        "agent_id": None,
        "agent_name": "helper",
        "version_id": None,
        "snapshot_id": DIGEST,
        "root_id": run_id,
        "input": "do it",
        "limits": {"max_cost_usd": Decimal("1.50")},
        "available_at": now,
        "created_at": now,
        "updated_at": now,
    }
    return RunRow(**{**known, **fields})


def birth(workspace: Workspace, **fields: Any) -> Birth:
    row = run_row(workspace, **fields)
    return Birth(run=row, event=EventRow("run.created", clock.now(), {"state": "queued"}))


def events(run_id: UUID) -> list[tuple[int, str]]:
    rows = TraceEvent.objects.filter(run_id=run_id).order_by("sequence")
    return list(rows.values_list("sequence", "kind"))


def is_dense(run_id: UUID) -> bool:
    """Whether the events are numbered without gap up to the run's head."""
    head = Run.objects.values_list("head_sequence", flat=True).get(pk=run_id)
    return [number for number, _ in events(run_id)] == list(range(1, head + 1))


def footprint(run_id: UUID) -> dict[str, Any]:
    """Everything stored of a run, to see that something left nothing behind."""
    return {
        "run": Run.objects.filter(pk=run_id).values().get(),
        "events": events(run_id),
        "messages": list(Message.objects.filter(run_id=run_id).values_list("position", "parts")),
        "checkpoints": list(Checkpoint.objects.filter(run_id=run_id).values_list("sequence")),
        "calls": list(ToolCall.objects.filter(run_id=run_id).values_list("id", "state")),
    }


async def orm(work: Callable[..., T], *arguments: Any) -> T:
    """Do ORM work from a coroutine, leaving no connection behind in its thread."""

    def done() -> T:
        try:
            return work(*arguments)
        finally:
            connection.close()

    return await asyncio.to_thread(done)


class WatchedWriter:
    """A writer that remembers its batches and lets a test act before each."""

    def __init__(self, writer: Writer, before: Callable[[], None] = lambda: None) -> None:
        self.batches: list[int] = []
        self._writer = writer
        self._before = before

    def write(self, batch: Sequence[Any]) -> list[Outcome]:
        self._before()
        self.batches.append(len(batch))
        return self._writer.write(batch)

    def renew(self, worker_id: UUID, until: Any) -> Any:
        return self._writer.renew(worker_id, until)

    def close(self) -> None:
        self._writer.close()


def replaced(item: Entry, **fields: Any) -> Entry:
    return msgspec.structs.replace(item, **fields)


def together(journal: Journal, *contributions: Any) -> list[Any]:
    """Hand over so that all of them are in one batch."""
    with journal._wake:
        return [journal.submit(each) for each in contributions]
