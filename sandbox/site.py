"""What a site decides about all its sandboxes: the engine, the size of a workspace, its waivers."""

import msgspec

from sandbox.contracts import MIB, Isolation, Limit, Limits, Profile

# What runs a program a model wrote: the strictest limits it can do its work in.
PROGRAMS = Profile(limits=Limits(wall_seconds=600.0))

_NEVER_WAIVED = frozenset({Limit.WALL, Limit.OUTPUT, Limit.OPEN_FILES, Limit.FILE, Limit.NET})
WAIVABLE = frozenset(Limit) - _NEVER_WAIVED


class SiteRules(msgspec.Struct, frozen=True, kw_only=True):
    """`engine` is taken where a profile names none; `workspace_bytes` is every workspace's quota.

    `without` are limits that this site does without, because no engine of its host holds them: an
    administrator says so, nobody else.
    """

    engine: Isolation = Isolation.BUBBLEWRAP
    workspace_bytes: int = 256 * MIB
    without: frozenset[Limit] = frozenset()
    allows_disabled: bool = False

    def __post_init__(self) -> None:
        if self.engine in {Isolation.SITE, Isolation.DISABLED}:
            raise ValueError("The site's own engine has to be named.")
        if kept := sorted(self.without - WAIVABLE):
            raise ValueError(f"{', '.join(kept)} cannot be done without.")

    def applied(self, profile: Profile) -> Profile:
        """Return the profile as it runs here; approvals and policies are told its digest.

        A workspace has one quota, whoever works in it, so the profile's own gives way to it.
        """
        limits = msgspec.structs.replace(
            profile.limits,
            disk_bytes=None if profile.limits.disk_bytes is None else self.workspace_bytes,
            **{limit.value: None for limit in self.without},
        )
        isolation = profile.isolation or self.engine
        return msgspec.structs.replace(profile, isolation=isolation, limits=limits)

    def complaint(self, profile: Profile) -> str:
        """Say what the profile asks for that this site never does, or nothing."""
        if profile.isolation is Isolation.DISABLED and not self.allows_disabled:
            return (
                "It asks to run without a sandbox, which is refused here. Ask for an engine that "
                "isolates; an administrator can set AGENTRY_SANDBOX_DISABLED_ALLOWED."
            )
        wanted = profile.limits.disk_bytes
        if wanted is not None and wanted < self.workspace_bytes and Limit.DISK not in self.without:
            return (
                f"A disk of {wanted} bytes is asked for, and every workspace of this site has one "
                f"of {self.workspace_bytes}; leave the disk out, or ask for at least as much."
            )
        return ""


def planning(profile: Profile) -> Profile:
    """Return the profile in which is found out what a call would change: it can change nothing."""
    return msgspec.structs.replace(profile, net=(), is_read_only=True)
