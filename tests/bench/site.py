"""A site of our own for benches: migrated, with one agent, and an engine that can be watched."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
os.environ.setdefault("AGENTRY_DATA_DIR", mkdtemp(prefix="agentry-bench-"))

import django

django.setup()

from django.conf import settings
from django.core.management import call_command

from agents.engine_process import make_journal
from agents.execution.furnishing import HostSettings
from agents.execution.host import EngineHost
from agents.execution.pinning import agent_pinnable, pin
from agents.journal.records import Birth, Entry, EventRow, RunRow
from agents.models import Agent, AgentVersion, Model, Provider
from agents.spec import spec_parse
from core import clock
from core.ids import new_id
from governance.models import Workspace

__all__ = ["Countdown", "WatchedHost", "births", "make_journal", "prepare"]


def prepare(script: str, spec: dict[str, object]) -> tuple[Workspace, str]:
    """Migrate and publish one agent that a script answers; returns workspace and agent name."""
    call_command("migrate", verbosity=0)
    # Of a name of its own: a site may be started again on the same database.
    workspace = Workspace.objects.create(name=f"bench-{os.getpid()}")
    provider = Provider.objects.create(
        workspace=workspace, name="scripted", kind="scripted", script=script
    )
    Model.objects.create(workspace=workspace, name="m", provider=provider, vendor_name="m")
    agent = Agent.objects.create(workspace=workspace, name="bench")
    parsed = spec_parse({"model": "m", **spec})
    agent.published = AgentVersion.objects.create(
        agent=agent,
        number=1,
        state="published",
        spec=parsed.model_dump(mode="json"),
        digest=parsed.digest(),
    )
    agent.save()
    return workspace, agent.name


def births(workspace: Workspace, agent: str, count: int) -> list[Birth]:
    """Runs to be born, pinned to what the agent is now."""
    found, version = agent_pinnable(workspace.pk, agent)
    _, digest = pin(found, version, input_text="go")
    result = []
    for _ in range(count):
        now, run_id = clock.now(), new_id()
        row = RunRow(
            id=run_id,
            workspace_id=workspace.pk,
            kind="agent",
            agent_id=found.pk,
            agent_name=found.name,
            version_id=version.pk,
            snapshot_id=digest,
            root_id=run_id,
            input="go",
            limits={},
            available_at=now,
            created_at=now,
            updated_at=now,
        )
        event = EventRow("run.created", now, {"state": "queued", "agent": found.name})
        result.append(Birth(run=row, event=event))
    return result


class WatchedHost(EngineHost):
    """An engine that tells when a run was let go for good."""

    def __init__(self, *, capacity: int, on_ended: Callable[[UUID], None]) -> None:
        super().__init__(
            HostSettings(
                capacity=capacity,
                lease_seconds=30.0,
                poll_seconds=1.0,
                drain_seconds=5.0,
                workspaces=Path(settings.WORKSPACES_DIR),
                allow_hosts=(),
            ),
            make_journal,
        )
        self._on_ended = on_ended

    def _released(self, entry: Entry) -> None:
        super()._released(entry)
        if entry.progress.finished_at is not None:
            self._on_ended(entry.run_id)


class Countdown:
    """Waits until so many runs have ended; counted on the engine's thread."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._done = threading.Event()

    def ended(self, _: UUID) -> None:
        self._left -= 1
        if self._left == 0:
            self._done.set()

    def wait(self, seconds: float) -> bool:
        return self._done.wait(seconds)
