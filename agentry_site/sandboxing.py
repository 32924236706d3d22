"""What the environment says about this site's sandboxes."""

from core.env import ConfigurationError, Environment
from sandbox.contracts import Isolation, Limit
from sandbox.site import WAIVABLE, SiteRules


def sandbox_rules(environment: Environment) -> SiteRules:
    """Read the site's rules.

    Raises:
        ConfigurationError: An engine or a limit that does not exist, or a quota that cannot be.
    """
    engine = environment.text("AGENTRY_SANDBOX_ENGINE")
    never = {Isolation.SITE, Isolation.DISABLED}
    engines = [each.value for each in Isolation if each not in never]
    if engine not in engines:
        raise ConfigurationError(
            f"AGENTRY_SANDBOX_ENGINE={engine!r} is not one of: {', '.join(engines)}."
        )
    names = environment.items("AGENTRY_SANDBOX_WITHOUT")
    waivable = sorted(limit.value for limit in WAIVABLE)
    if wrong := sorted(set(names) - set(waivable)):
        raise ConfigurationError(
            f"AGENTRY_SANDBOX_WITHOUT names {', '.join(wrong)}; choose from: {', '.join(waivable)}."
        )
    size = environment.integer("AGENTRY_SANDBOX_WORKSPACE_BYTES")
    if size < 1024 * 1024:
        raise ConfigurationError("AGENTRY_SANDBOX_WORKSPACE_BYTES is less than a mebibyte.")
    return SiteRules(
        engine=Isolation(engine),
        workspace_bytes=size,
        without=frozenset(Limit(name) for name in names),
        allows_disabled=environment.boolean("AGENTRY_SANDBOX_DISABLED_ALLOWED"),
    )
