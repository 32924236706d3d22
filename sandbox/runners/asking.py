"""The question every runner asks before it makes anything: can this profile be held here?"""

from sandbox.contracts import Abilities, Isolation, Profile
from sandbox.errors import SandboxRefusedError, SandboxUnavailableError


def refuse_unless_held(abilities: Abilities, profile: Profile, *, remedy: str) -> None:
    """Return when all the profile asks for can be held.

    Raises:
        SandboxUnavailableError: The engine does not work here.
        SandboxRefusedError: Another engine was asked for, or something that cannot be held.
    """
    if not abilities.is_available:
        raise SandboxUnavailableError(abilities.problem, remedy=abilities.remedy)
    if profile.isolation not in {Isolation.SITE, abilities.name}:
        raise SandboxRefusedError(
            f"This runner is {abilities.name}, and {profile.isolation} was asked for.",
            remedy=f"Ask for {abilities.name}, or send the call to the other runner.",
        )
    if lacking := sorted(profile.asked() - abilities.holds):
        reasons = (f"{limit} cannot be held: {abilities.missing[limit]}." for limit in lacking)
        raise SandboxRefusedError(" ".join(reasons), remedy=remedy)
