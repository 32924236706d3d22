"""What a sandbox leaves on the host, and taking it away: at its end, or for an owner that died."""

import os
from dataclasses import dataclass
from pathlib import Path

from sandbox import cgroups
from sandbox.cgroups import Group
from sandbox.leases import Leases
from sandbox.uids import kill_all_of
from sandbox.workspaces import quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """`is_mounted` when this sandbox mounted its workspace's disk; else it stays mounted."""

    group: Group
    workspace: Path
    is_mounted: bool = False
    seat: Path | None = None
    sockets: Path | None = None


def take_away(remains: Remains) -> None:
    """Kill what is left, remove the group, unmount the workspace. Raises OSError."""
    remains.group.kill()
    remains.group.remove()
    if remains.seat is not None:
        quota.detach(remains.seat)
    if remains.sockets is not None and remains.sockets.exists():
        for socket in remains.sockets.iterdir():
            socket.unlink()
        remains.sockets.rmdir()
    if remains.is_mounted and remains.workspace.is_dir():
        quota.detach(remains.workspace)


def reap(leases: Leases) -> list[str]:
    """Take away what dead owners left; returns a sentence for each sandbox.

    Safe to run at any time and in several processes: a place is locked while it is cleaned, and a
    living owner's place is locked by its owner.
    """
    told = []
    for lease, held in leases.orphans():
        group = cgroups.hierarchy().group(held.group)
        try:
            if os.geteuid() == 0:
                kill_all_of(lease.uid)
            take_away(
                Remains(
                    group=group,
                    workspace=Path(held.workspace),
                    is_mounted=held.is_mounted,
                    seat=leases.seat(lease),
                    sockets=leases.sockets(lease),
                )
            )
        except OSError as error:
            told.append(f"{held.group} of process {held.owner} is still there: {error}")
            lease.abandon()
            continue
        told.append(f"{held.group} of process {held.owner} was taken away")
        lease.release()
    return told
