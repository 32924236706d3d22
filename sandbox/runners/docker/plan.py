"""One container that is being opened as a sandbox: what was asked for, and where it will be."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.contracts import Profile
from sandbox.egress import INSIDE, SOCKET, Gateway
from sandbox.leases import Lease
from sandbox.remains import Remains
from sandbox.runners.docker.group import ContainerGroup
from sandbox.runners.docker.inside import files_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`image` is its id, `egress` the folder of its way out."""

    lease: Lease
    workspace: Path
    profile: Profile
    image: str
    name: str
    egress: Path | None = None
    gateway: Gateway | None = None

    def remains(self, group: ContainerGroup, *, is_mounted: bool) -> Remains:
        return Remains(
            group=group, workspace=self.workspace, is_mounted=is_mounted, egress=self.egress
        )

    @property
    def relay(self) -> str:
        return self.gateway.ways.for_relay(f"{INSIDE}/{SOCKET}") if self.gateway else ""

    def files(self, folder: Path, *, user: int) -> Mapping[str, Path]:
        """Return what of the host's is mounted, by path inside."""
        found = dict(
            files_for(
                folder,
                place=self.lease.number,
                user=user,
                hosts=self.gateway.hosts if self.gateway else (),
            )
        )
        return found | ({INSIDE: self.egress} if self.egress else {})
