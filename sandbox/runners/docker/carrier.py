"""A session agent that is process 1 of a container, spoken to on the container's own streams."""

import asyncio
import contextlib
import signal

from core.clock import monotonic
from core.finishing import to_the_end, undivided
from sandbox import cgroups
from sandbox.errors import SandboxUnavailableError
from sandbox.runners.docker.engine import Engine, EngineError, NoSuchThingError
from sandbox.runners.docker.frames import FrameReader
from sandbox.runners.docker.group import ContainerGroup
from sandbox.runners.link import LINE_BYTES, AgentLink, LinkLostError, lost

_START_SECONDS = 60.0
# A container ends before its engine has heard of it.
_NEWS_SECONDS, _BETWEEN_SECONDS = 3.0, 0.05
_KILLED = 128 + signal.SIGKILL


class ContainerCarrier:
    """See `sandbox.runners.session.Carrier`."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self.group = ContainerGroup(engine, name)

    async def started(self) -> AgentLink:
        """Start the container that was made and wait until its agent listens.

        From then on `group` counts where the kernel counts.

        Raises:
            SandboxUnavailableError: It did not listen.
            EngineError: The engine refused something.
        """
        reader, writer = await self._connected()
        frames = FrameReader(reader, line_bytes=LINE_BYTES)
        link = AgentLink(frames, writer)
        try:
            await undivided(asyncio.to_thread(self._engine.start, self._name))
            await link.ready(seconds=_START_SECONDS)
            self.group = await asyncio.to_thread(self._seen)
        except LinkLostError as reason:
            link.close()
            raise SandboxUnavailableError(
                f"The container did not start the session agent: {frames.last_words or reason}.",
                remedy="The image needs Python 3.8 or newer as python3.",
            ) from reason
        except BaseException:
            link.close()
            raise
        return link

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        connecting = asyncio.ensure_future(asyncio.to_thread(self._engine.attach, self._name))
        try:
            connection = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            with contextlib.suppress(EngineError):
                (await to_the_end(connecting)).close()
            raise
        connection.setblocking(False)
        return await asyncio.open_unix_connection(sock=connection)

    def _seen(self) -> ContainerGroup:
        """Return the container with the control group the engine made for it."""
        state = self._engine.state(self._name)
        counted = None
        if state.process:
            counted = cgroups.found_group(state.process, named=state.id)
        return ContainerGroup(self._engine, self._name, counted)

    async def farewell(self) -> None:
        """Wait for nothing: the engine ends it when it is removed."""

    async def kill(self) -> None:
        await asyncio.to_thread(self.group.kill)

    async def ran_out_of_memory(self, *, deaths: int) -> bool:
        """The kernel's counters go with the container, at times before its engine has read them.

        From within nobody can send it SIGKILL: where it died of one that was not sent here, the
        kernel has sent it, for want of memory.
        """
        ends_at = monotonic() + _NEWS_SECONDS
        while True:
            try:
                state = await asyncio.to_thread(self._engine.state, self._name)
            except NoSuchThingError:
                return False
            except EngineError as error:
                raise lost(f"the engine does not answer: {error}") from error
            if state.is_out_of_memory:
                return True
            if not state.process:
                return state.exit_code == _KILLED and not self.group.was_killed
            if monotonic() > ends_at:
                return False
            await asyncio.sleep(_BETWEEN_SECONDS)
