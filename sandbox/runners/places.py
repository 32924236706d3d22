"""Taking a workspace and a place for one sandbox, and giving both back whatever comes between."""

import asyncio
from pathlib import Path

from sandbox.leases import Lease, Leases
from sandbox.remains import Remains, take_away
from sandbox.runners.ending import to_the_end


async def taken(places: Leases, workspace: Path) -> Lease:
    """Return a place that keeps others from the workspace until it is released.

    Raises:
        SandboxBusyError: Another sandbox has the workspace.
        SandboxUnavailableError: All places are taken.
    """
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


def cleaned_up(remains: Remains, lease: Lease) -> None:
    """Take away what an opening has made so far; what resists is left to the reaper."""
    try:
        take_away(remains)
    except OSError:
        lease.abandon()
    else:
        lease.release()
