"""Opening a container as a sandbox.

One container is kept warm for each session, with the session agent as its process 1, so that a call
costs no start. gVisor is the same with another runtime; `kinds` has what differs.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from core.finishing import undivided
from sandbox.contracts import Abilities, HostCredential, Profile
from sandbox.egress import Gateway, Outside
from sandbox.leases import Leases
from sandbox.runners.asking import refuse_unless_held
from sandbox.runners.docker.carrier import ContainerCarrier
from sandbox.runners.docker.engine import Engine, EngineError
from sandbox.runners.docker.finding import Found, find_out, see_the_workspace
from sandbox.runners.docker.group import ContainerGroup
from sandbox.runners.docker.kinds import Kind
from sandbox.runners.docker.plan import Plan, name_of
from sandbox.runners.docker.settings import container_of, host_of
from sandbox.runners.finding import FoundOnce
from sandbox.runners.opening import Opening, opening
from sandbox.runners.session import AgentSession
from sandbox.workspaces import quota

_OPENING_AT_ONCE = 6
_REMEDY = "Ask for no such limit (null), or for an engine that holds it; see the doctor."
_OPENING_REMEDY = "See `manage.py sandbox doctor`, and the log of the Docker daemon."


class DockerRunner:
    """See `sandbox.contracts.Runner`. One for each event loop; `folder` holds locks and places."""

    def __init__(
        self,
        folder: Path,
        *,
        kind: Kind,
        engine: Engine,
        image: str = "",
        found: Found | None = None,
        outside: Outside | None = None,
    ) -> None:
        """`found` is another runner's of the same kind; `outside` is what egress gateways know of
        the world."""
        self.name = kind.name
        self._folder = folder
        self._kind = kind
        self._engine = engine
        self._image_name = image
        self._outside = outside
        # A daemon that is missing may come; what it can do is found out once.
        self._found = FoundOnce(
            self._find_out, known=found, is_final=lambda it: it.abilities.is_available
        )
        self._openings = asyncio.Semaphore(_OPENING_AT_ONCE)

    @property
    def found(self) -> Found | None:
        """Return what has been found out so far, for another runner of the same engine."""
        return self._found.known

    @cached_property
    def _places(self) -> Leases:
        return Leases(self._folder)

    async def abilities(self) -> Abilities:
        return (await self._found.get()).abilities

    async def _find_out(self) -> Found:
        return await find_out(self._engine, self._kind, self._image_name, self._try)

    async def _try(self, image: str) -> None:
        await see_the_workspace(self._places, partial(self._start, image=image))

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> AgentSession:
        found = await self._found.get()
        refuse_unless_held(found.abilities, profile, remedy=_REMEDY)
        gateway = None
        if profile.net or credentials:
            gateway = Gateway(
                profile.net,
                credentials,
                has_low_ports=self._kind.has_low_ports,
                outside=self._outside,
            )
        return await self._start(workspace, profile, image=found.image, gateway=gateway)

    async def _start(
        self, workspace: Path, profile: Profile, *, image: str, gateway: Gateway | None = None
    ) -> AgentSession:
        async with (
            self._openings,
            opening(
                self._places,
                workspace,
                lambda lease: ContainerGroup(self._engine, name_of(lease)),
                gateway=gateway,
                failures=(OSError, EngineError),
                remedy=_OPENING_REMEDY,
            ) as begun,
        ):
            begun.record(
                is_mounted=profile.limits.disk_bytes is not None, container=name_of(begun.lease)
            )
            await begun.open_way(self._places.egress(begun.lease))
            await undivided(asyncio.to_thread(self._prepare, begun, profile, image))
            return await self._launch(begun, profile)

    def _prepare(self, begun: Opening, profile: Profile, image: str) -> None:
        """Make the workspace ready and create the container."""
        begun.mount(profile.limits.disk_bytes)
        if begun.user is not None:
            quota.give(begun.remains.workspace, uid=begun.user)
        plan = Plan(
            begun=begun,
            profile=profile,
            kind=self._kind,
            image=image,
            folder=self._folder,
            user=os.geteuid() if begun.user is None else begun.user,
        )
        wanted = plan.wanted()
        self._engine.create(plan.name, host=host_of(wanted), container=container_of(wanted))

    async def _launch(self, begun: Opening, profile: Profile) -> AgentSession:
        carrier = ContainerCarrier(self._engine, name_of(begun.lease))
        link = await carrier.started()
        begun.remains = replace(begun.remains, group=carrier.group)
        return AgentSession(
            carrier=carrier,
            link=link,
            lease=begun.lease,
            remains=begun.remains,
            limits=profile.limits,
            gateway=begun.gateway,
        )
