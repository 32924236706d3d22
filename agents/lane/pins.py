"""What the lane remembers of agents, so that an accepted call costs no query."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from agents.engine.state import Limits
from agents.execution.pinning import agent_pinnable, pin
from agents.services.runs import deadline
from agents.spec import spec_parse
from core import clock
from governance.access import workspace_missing
from governance.selectors.workspaces import workspace_by_name
from governance.services.known_secrets import secrets_learn

FRESH_SECONDS = 1.0  # then it is read again
USABLE_SECONDS = 5.0  # while that is under way
MAX_PINS = 4096


class Pin(NamedTuple):
    """Everything a plain call of an agent is started with."""

    workspace_id: UUID
    workspace: str
    agent_id: UUID
    agent: str
    version_id: UUID
    version: int
    snapshot_digest: str
    limits: dict[str, object]
    parsed_limits: Limits
    depends_on_input: bool
    template: dict[str, object]  # what answers for runs of this agent share; filled on first use

    def deadline(self, created_at: datetime) -> datetime | None:
        return deadline(created_at, self.parsed_limits)


class Pins:
    """Bounded, some seconds fresh; read on the loop, filled by the database thread."""

    def __init__(self) -> None:
        self._pins: dict[tuple[str, str], tuple[Pin, float]] = {}

    def peek(self, workspace: str, agent: str) -> Pin | None:
        found = self._pins.get((workspace, agent))
        if found is None or clock.monotonic() - found[1] > USABLE_SECONDS:
            return None
        return found[0]

    def is_due(self, workspace: str, agent: str) -> bool:
        """Say whether it is time to read the agent again."""
        found = self._pins.get((workspace, agent))
        return found is None or clock.monotonic() - found[1] > FRESH_SECONDS

    def load(self, workspace: str, agent: str) -> Pin:
        """Pin an agent from the database. Synchronous.

        Raises:
            NotFoundError, ConflictError, InvalidInputError: As when the run is started.
        """
        row = workspace_by_name(workspace)
        if row is None:
            raise workspace_missing()
        secrets_learn([row.pk])  # what callers of the agent say is redacted without a query
        found, version = agent_pinnable(row.pk, agent)
        spec = spec_parse(version.spec)
        snapshot, digest = pin(found, version, input_text="") if spec.model else (None, "")
        limits = snapshot.limits if snapshot else Limits()
        result = Pin(
            workspace_id=row.pk,
            workspace=row.name,
            agent_id=found.pk,
            agent=found.name,
            version_id=version.pk,
            version=version.number,
            snapshot_digest=digest,
            limits=msgspec.to_builtins(limits),
            parsed_limits=limits,
            depends_on_input=snapshot is None,
            template={},
        )
        if len(self._pins) > MAX_PINS:
            self._pins.clear()
        self._pins[(workspace, agent)] = (result, clock.monotonic())
        return result
