"""Opening one sandbox: the workspace and a place are taken, and given back whatever goes wrong.

Whoever opens one says in `Opening.remains` what there is as soon as there may be any of it. A
failure or a cancel takes exactly that away, and what resists is left to the reaper.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from core.finishing import to_the_end
from sandbox.cgroups import Group
from sandbox.egress import Gateway
from sandbox.errors import SandboxUnavailableError
from sandbox.leases import Held, Lease, Leases
from sandbox.remains import Remains, take_away
from sandbox.workspaces import quota

_REMEDY = "See `manage.py sandbox doctor`."


class Opening:
    """A sandbox on its way: its place, what it has on the host by now, and its way out."""

    def __init__(self, *, lease: Lease, remains: Remains, gateway: Gateway | None) -> None:
        self.lease = lease
        self.remains = remains
        self.gateway = gateway

    @property
    def user(self) -> int | None:
        """Return the sandbox's own user, which only root may give it; None: who we are."""
        return self.lease.uid if os.geteuid() == 0 else None

    def record(self, *, is_mounted: bool = False, container: str = "") -> None:
        """Name what is about to be made, so that whatever is made has a place that names it."""
        self.lease.write(
            Held(
                owner=os.getpid(),
                group=self.lease.group,
                workspace=str(self.remains.workspace),
                is_mounted=is_mounted,
                container=container,
            )
        )

    def mount(self, disk_bytes: int | None) -> None:
        """Mount the workspace's disk; None: it has none."""
        if disk_bytes is None:
            return
        quota.attach(self.remains.workspace, disk_bytes=disk_bytes)
        # Whoever has the workspace's lock unmounts it, also when a dead owner mounted it.
        self.remains = replace(self.remains, is_mounted=True)

    async def open_way(self, folder: Path) -> None:
        """Have the gateway, if there is one, listen in this folder for the sandbox's user."""
        if self.gateway is not None:
            self.remains = replace(self.remains, egress=folder)
            await self.gateway.start(folder, uid=self.user)


@asynccontextmanager
async def opening(
    places: Leases,
    workspace: Path,
    group_of: Callable[[Lease], Group],
    *,
    gateway: Gateway | None = None,
    thing: str = "sandbox",
    failures: tuple[type[Exception], ...] = (OSError,),
    remedy: str = _REMEDY,
) -> AsyncIterator[Opening]:
    """Hold a place and the workspace while the block opens a sandbox in them.

    After the block both are its session's. `failures` are told as a `thing` that cannot be made.

    Raises:
        SandboxBusyError: Another sandbox has the workspace.
        SandboxUnavailableError: All places are taken, or one of `failures` came.
    """
    lease = await _taken(places, workspace)
    remains = Remains(group=group_of(lease), workspace=workspace)
    found = Opening(lease=lease, remains=remains, gateway=gateway)
    try:
        yield found
    except BaseException as error:
        if gateway is not None:
            await to_the_end(gateway.close())
        await to_the_end(asyncio.to_thread(_cleaned_up, found))
        if isinstance(error, failures):
            raise SandboxUnavailableError(
                f"The {thing} could not be made: {error}.", remedy=remedy
            ) from error
        raise


async def _taken(places: Leases, workspace: Path) -> Lease:
    """Return a place that keeps others from the workspace until it is released."""
    lock = places.lock_workspace(workspace)
    taking = asyncio.ensure_future(asyncio.to_thread(places.take))
    try:
        lease = await asyncio.shield(taking)
    except BaseException:
        try:
            (await to_the_end(taking)).release()
        finally:
            lock.release()
        raise
    lease.keep_workspace(lock)
    return lease


def _cleaned_up(found: Opening) -> None:
    """Take away what has been made so far; what resists is left to the reaper."""
    try:
        take_away(found.remains)
    except (OSError, SandboxUnavailableError):
        found.lease.abandon()
    else:
        found.lease.release()
