"""A real sandbox worker for the suites, and its sandboxes with their traces on the host."""

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sandbox import cgroups
from sandbox.cgroups import Group
from sandbox.contracts import Abilities, HostCredential, Isolation, Profile
from sandbox.leases import FIRST_UID, Held
from sandbox.remote import ChildWorker, RemoteRunner
from sandbox.remote.session import RemoteSession
from sandbox.services import default_folder

_worker = ChildWorker(workspaces=Path(tempfile.gettempdir()), folder=default_folder())


class TracedSession(RemoteSession):
    """A remote session whose place among the leases was looked up."""

    group: Group
    uid: int
    workspace: Path


class ThroughTheWorker:
    """The runner of a worker in a process of its own, kept for all tests of this process."""

    def __init__(self, name: Isolation = Isolation.SITE) -> None:
        self.name = name
        self._runner = RemoteRunner(_worker.locate, name)

    async def abilities(self) -> Abilities:
        return await self._runner.abilities()

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> TracedSession:
        session = await self._runner.open(workspace, profile, credentials=credentials)
        session.__class__ = TracedSession
        assert isinstance(session, TracedSession)
        number, held = await asyncio.to_thread(place_of, workspace)
        session.group = cgroups.hierarchy().group(held.group)
        session.uid = FIRST_UID + number
        session.workspace = workspace
        return session


def place_of(workspace: Path) -> tuple[int, Held]:
    for file in (default_folder() / "places").iterdir():
        with contextlib.suppress(msgspec.DecodeError):
            held = msgspec.json.decode(file.read_bytes(), type=Held)
            if held.workspace == str(workspace):
                return int(file.name), held
    raise AssertionError(f"no place names {workspace}")
