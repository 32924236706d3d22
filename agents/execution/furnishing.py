"""What drivers of one process share: connections, pools, tools and files, made and closed here."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agents.execution.calls import CallRunner
from agents.execution.completion import Asker
from agents.execution.database import DatabaseThread
from agents.execution.driver import Means
from agents.execution.folders import Folders
from agents.execution.gate import PolicyGate
from agents.execution.providers import ProviderPool, provider_config
from agents.execution.secrets import SecretDesk
from agents.execution.spawning import child_row
from agents.execution.spending import Purse
from agents.execution.tooling import Toolbox
from agents.execution.turns import Turns
from agents.journal.journal import Journal
from agents.journal.records import Entry
from agents.selectors.workspaces import workspace_head
from observability.live import emit_delta
from sandbox.contracts import RunnerSource
from sandbox.pool import MOST, SandboxPool
from sandbox.site import SiteRules
from sandbox.workspaces.snapshots import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    capacity: int
    lease_seconds: float
    poll_seconds: float
    drain_seconds: float
    workspaces: Path
    allow_hosts: tuple[str, ...]
    sandbox_rules: SiteRules = field(default_factory=SiteRules)
    sandboxes: int = MOST
    workspace_bytes: int = 1024**3
    workspace_files: int = 100_000


class Furniture:
    """Made on the engine's loop; `database` and `sweeps` are for the host's own work too."""

    def __init__(self, settings: HostSettings, journal: Journal, runners: RunnerSource) -> None:
        self.journal = journal
        self.database = DatabaseThread()
        self.sweeps = DatabaseThread()
        self.collects = DatabaseThread()
        self._spending = DatabaseThread()
        self._credentials = DatabaseThread()  # keys and secrets, which may come from a slow vault
        self._providers = ProviderPool(
            lambda provider_id: self._credentials.run(partial(provider_config, provider_id))
        )
        self.sandboxes = SandboxPool(runners, settings.sandbox_rules, most=settings.sandboxes)
        self.toolbox = Toolbox(allow_hosts=settings.allow_hosts, pool=self.sandboxes)
        self._gate = PolicyGate(
            database=self.database,
            credentials=self._credentials,
            spec_of=self.toolbox.declaration,
            rules=settings.sandbox_rules,
        )
        bounds = Bounds(size_bytes=settings.workspace_bytes, entries=settings.workspace_files)
        self._turns = Turns(
            folders=Folders(settings.workspaces, bounds),
            head_of=lambda root_id: self.database.run(partial(workspace_head, root_id)),
            files=self.sandboxes,
        )
        self._calls = CallRunner(
            toolbox=self.toolbox,
            spawn=lambda context, wish, call_id: self.database.run(
                partial(child_row, context, wish, call_id)
            ),
            gate=self._gate,
            secrets=SecretDesk(self._credentials),
            turns=self._turns,
            workspaces=settings.workspaces,
        )
        self._purse = Purse(self._spending)
        self._asker = Asker(
            providers=self._providers.get,
            specs=lambda context: self.toolbox.door(context).specs,
            emit=emit_delta,
            purse=self._purse,
        )

    def means(
        self, *, on_released: Callable[[Entry], None], on_asked: Callable[[Entry], None]
    ) -> Means:
        return Means(
            journal=self.journal,
            asker=self._asker,
            calls=self._calls,
            purse=self._purse,
            on_released=on_released,
            on_asked=on_asked,
        )

    async def close(self, farewell: Callable[[], None]) -> None:
        """Close all of it, in the order of who needs whom; `farewell` is the last database work."""
        await self.sandboxes.close()
        await self._providers.aclose()
        self._gate.close()
        self._turns.close()
        try:
            await self.database.run(farewell)
        finally:
            await asyncio.to_thread(self.journal.close)
            self.collects.close()
            self.sweeps.close()
            self._credentials.close()
            self._spending.close()
            self.database.close()
