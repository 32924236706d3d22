"""The Landlock runner for suites that ask for every limit there is."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from sandbox.contracts import Abilities, HostCredential, Profile
from sandbox.runners.landlock import LandlockRunner
from sandbox.runners.landlock.session import LandlockSession
from sandbox.services import default_folder


class HeldByLandlock:
    """Asks for the same profile without the limits it cannot hold."""

    def __init__(self) -> None:
        self._runner = LandlockRunner(default_folder())
        self.name = self._runner.name

    async def abilities(self) -> Abilities:
        return await self._runner.abilities()

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> LandlockSession:
        limits = msgspec.structs.replace(
            profile.limits, cpu=None, memory_bytes=None, disk_bytes=None
        )
        asked = msgspec.structs.replace(profile, limits=limits)
        return await self._runner.open(workspace, asked, credentials=credentials)
