"""A session and its opening, whatever carries the agent: nothing is forgotten when things fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox.cgroups.nothing import NoGroup
from sandbox.contracts import Command, Ended, Limits
from sandbox.egress import SOCKET, Gateway
from sandbox.errors import SandboxBusyError, SandboxLostError, SandboxUnavailableError
from sandbox.leases import Leases
from sandbox.runners.link import AgentLink
from sandbox.runners.opening import Opening, opening
from sandbox.runners.session import AgentSession

COMMAND = Command(argv=("x",))


class Group(NoGroup):
    """A group that keeps what it was asked, and cannot be removed while it is `stuck`."""

    def __init__(self) -> None:
        self.deaths = 0
        self.removed = 0
        self.is_stuck = False

    def out_of_memory(self) -> int:
        return self.deaths

    def remove(self) -> None:
        if self.is_stuck:
            raise OSError("a process lives on")
        self.removed += 1


class Carrier:
    """A carrier that does as it is told."""

    def __init__(self, *, ran_out: bool = False, kill: str = "", farewell: str = "") -> None:
        self.ran_out, self.failing_kill, self.failing_farewell = ran_out, kill, farewell
        self.kills = 0

    async def farewell(self) -> None:
        if self.failing_farewell:
            raise OSError(self.failing_farewell)

    async def kill(self) -> None:
        self.kills += 1
        if self.failing_kill:
            raise OSError(self.failing_kill)

    async def ran_out_of_memory(self, *, deaths: int) -> bool:
        assert self.kills == 0, "it is asked before it is killed: that would be its end"
        return self.ran_out


@pytest.fixture
def places(tmp_path: Path) -> Leases:
    return Leases(tmp_path / "places")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@asynccontextmanager
async def dumb(
    places: Leases, workspace: Path, carrier: Carrier, group: Group
) -> AsyncIterator[AgentSession]:
    """Open a session whose agent ends at the first command; whoever asked closes it."""

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(agent, "127.0.0.1", 0) as server:
        streams = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        async with opening(places, workspace, lambda lease: group) as begun:
            begun.record()
        yield AgentSession(
            carrier=carrier,
            link=AgentLink(*streams),
            lease=begun.lease,
            remains=begun.remains,
            limits=Limits(),
        )


def is_free(places: Leases, workspace: Path) -> bool:
    try:
        places.lock_workspace(workspace).release()
    except SandboxBusyError:
        return False
    return True


async def test_what_the_carrier_remembers_of_its_end_counts(
    places: Leases, workspace: Path
) -> None:
    carrier = Carrier(ran_out=True)
    async with dumb(places, workspace, carrier, Group()) as session:
        outcome = await session.run(COMMAND)
        with pytest.raises(SandboxLostError, match="it was closed or ended before"):
            await session.run(COMMAND)
        await session.close()

    assert (outcome.ended_by, outcome.exit_code) == (Ended.MEMORY, None)
    assert carrier.kills == 1


async def test_an_agent_that_ends_for_another_reason_is_lost(
    places: Leases, workspace: Path
) -> None:
    carrier, group = Carrier(), Group()
    async with dumb(places, workspace, carrier, group) as session:
        with pytest.raises(SandboxLostError, match="it ended without an answer"):
            await session.run(COMMAND)
        assert not is_free(places, workspace)
        await session.close()
        await session.close()

    assert (carrier.kills, group.removed) == (1, 1)
    assert is_free(places, workspace)
    assert list(places.orphans()) == []


async def test_a_carrier_that_cannot_be_ended_is_told(places: Leases, workspace: Path) -> None:
    carrier = Carrier(kill="the engine is away")
    async with dumb(places, workspace, carrier, Group()) as session:
        with pytest.raises(SandboxLostError, match="the engine is away"):
            await session.run(COMMAND)
        await session.close()


@pytest.mark.parametrize("stuck", ["carrier", "group"])
async def test_what_cannot_be_taken_down_is_left_to_the_reaper(
    places: Leases, workspace: Path, stuck: str
) -> None:
    carrier, group = Carrier(farewell="it is busy" if stuck == "carrier" else ""), Group()
    group.is_stuck = stuck == "group"
    async with dumb(places, workspace, carrier, group) as session:
        with pytest.raises(SandboxLostError, match=r"could not be taken down: (it is|a process)"):
            await session.close()

    ((lease, held),) = places.orphans()
    lease.release()
    assert held.workspace == str(workspace)


async def test_an_opening_that_fails_takes_away_what_it_says_there_is(
    places: Leases, workspace: Path, tmp_path: Path
) -> None:
    group, gateway, way = Group(), Gateway(["a.test:443"]), tmp_path / "way"

    async def open_in_vain() -> None:
        async with opening(
            places, workspace, lambda lease: group, gateway=gateway, thing="box", remedy="Tidy up."
        ) as begun:
            begun.record()
            await begun.open_way(way)
            assert (way / SOCKET).is_socket()
            assert not is_free(places, workspace)
            raise OSError("no room")

    with pytest.raises(SandboxUnavailableError, match="The box could not be made: no room") as told:
        await open_in_vain()

    assert told.value.remedy == "Tidy up."
    assert group.removed == 1
    assert not way.exists()
    assert is_free(places, workspace)
    assert list(places.orphans()) == []


async def test_an_opening_that_is_given_up_passes_the_cancel_on(
    places: Leases, workspace: Path
) -> None:
    group, is_open = Group(), asyncio.Event()

    async def open_slowly() -> None:
        async with opening(places, workspace, lambda lease: group):
            is_open.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(open_slowly())
    await is_open.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert group.removed == 1
    assert is_free(places, workspace)


async def test_what_resists_the_end_of_an_opening_is_left_to_the_reaper(
    places: Leases, workspace: Path
) -> None:
    group = Group()
    group.is_stuck = True
    with pytest.raises(ValueError, match="a defect"):
        async with opening(places, workspace, lambda lease: group) as begun:
            fail(begun)

    ((lease, held),) = places.orphans()
    lease.release()
    assert held.group == begun.lease.group


def fail(begun: Opening) -> None:
    begun.record()
    raise ValueError("a defect")
