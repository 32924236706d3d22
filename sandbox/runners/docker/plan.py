"""One container that is being opened as a sandbox: what was asked for, and what it is made with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.contracts import Profile
from sandbox.egress import INSIDE, SOCKET
from sandbox.leases import Lease
from sandbox.runners.docker.inside import files_for
from sandbox.runners.docker.kinds import Kind
from sandbox.runners.docker.settings import LABEL_FOLDER, LABEL_GROUP, LABEL_PLACE, Wanted
from sandbox.runners.opening import Opening


def name_of(lease: Lease) -> str:
    """Return the name of a sandbox's container."""
    return f"agentry-{lease.group}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`image` is its id, `folder` that of locks and places, `user` who the sandbox is."""

    begun: Opening
    profile: Profile
    kind: Kind
    image: str
    folder: Path
    user: int

    @property
    def name(self) -> str:
        return name_of(self.begun.lease)

    def wanted(self) -> Wanted:
        """Return the container, with the host's files for it, which are there from then on."""
        gateway, lease = self.begun.gateway, self.begun.lease
        return Wanted(
            image=self.image,
            runtime=self.kind.runtime,
            user=self.user,
            workspace=self.begun.remains.workspace,
            files=self._files(),
            limits=self.profile.limits,
            pids=self.kind.counted(self.profile.limits.pids),
            labels={
                LABEL_FOLDER: str(self.folder),
                LABEL_PLACE: str(lease.number),
                LABEL_GROUP: lease.group,
            },
            relay=gateway.ways.for_relay(f"{INSIDE}/{SOCKET}") if gateway else "",
            is_read_only=self.profile.is_read_only,
        )

    def _files(self) -> Mapping[str, Path]:
        gateway, egress = self.begun.gateway, self.begun.remains.egress
        found = dict(
            files_for(
                self.folder / "containers",
                place=self.begun.lease.number,
                user=self.user,
                hosts=gateway.hosts if gateway else (),
            )
        )
        return found | ({INSIDE: egress} if egress else {})
