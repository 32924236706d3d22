"""What can be wrong with the declaration of a command: its script, its sandbox, its secrets."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec
from django.conf import settings

from core.errors import InvalidInputError
from core.redaction import redact
from plugins.commands.definition import VALUE, CommandDefinition, HostSecret, ManifestLimits
from plugins.commands.tool import variable_of
from plugins.contracts import EffectClass
from sandbox.contracts import Isolation, Profile
from sandbox.errors import SandboxRefusedError
from sandbox.services import check_hosts
from sandbox.site import SiteRules

HTTP_FIELDS = ("url", "method", "headers", "probe_url")
COMMAND_FIELDS = (
    "command", "engine", "net", "limits", "secrets", "output_schema", "probe_command",
    "plan_command",
)  # fmt: skip
MAX_HOSTS = 64
MAX_SECRETS = 32
MAX_AROUND_SECRET = 32
_NET = re.compile(
    r"(?:(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]):([0-9]{1,5})"
)
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Declared(Protocol):
    """The fields of a declaration that are about commands."""

    description: str
    input_schema: dict[str, Any]
    effect: EffectClass
    is_privileged: bool
    timeout_seconds: float
    command: str
    engine: Isolation
    net: list[str]
    limits: dict[str, int | float | None]
    secrets: list[str | HostSecret]
    output_schema: dict[str, Any] | None
    probe_command: str
    plan_command: str


def command_complaints(wanted: Declared) -> dict[str, str]:
    """Return a sentence for each wrong field."""
    found = {
        "command": _command_complaint(wanted.command),
        "engine": _engine_complaint(wanted),
        "net": _net_complaint(wanted.net),
        "limits": _limits_complaint(wanted.limits, is_privileged=wanted.is_privileged),
        "secrets": _secrets_complaint(wanted),
        "input_schema": _names_complaint(wanted.input_schema.get("properties", {})),
    }
    return {place: sentence for place, sentence in found.items() if sentence}


def foreign(wanted: Any, names: Iterable[str], plain: Any, what: str) -> dict[str, str]:
    """Name the fields that are given and mean nothing for a tool of this kind."""
    return {
        name: f"Is for {what}; leave it out."
        for name in names
        if getattr(wanted, name) != getattr(plain, name)
    }


def _engine_complaint(wanted: Declared) -> str:
    if wanted.engine is Isolation.DISABLED:
        rules: SiteRules = settings.SANDBOX_RULES
        if complaint := rules.complaint(Profile(isolation=wanted.engine)):
            return complaint
        if not wanted.is_privileged:
            return "What runs without a sandbox is privileged."
    return ""  # whether it works is a matter of the host the call runs on, which says so


def _command_complaint(command: str) -> str:
    if not command.strip():
        return "Give the shell text to run."
    if redact({"command": command}) != {"command": command}:
        return (
            "Holds what looks like a secret; a command is shown to everybody who may see the tool. "
            "Name it in `secrets`, to read it from /run/secrets or to have it sent to one host."
        )
    return ""


def _net_complaint(net: Sequence[str]) -> str:
    if len(net) > MAX_HOSTS:
        return f"Names more than {MAX_HOSTS} hosts."
    for pair in net:
        found = _NET.fullmatch(pair)
        if found is None or not 0 < int(found[1]) < 65536:
            return f"{pair[:200]!r} is not host:port, such as api.example.com:443."
    return ""


def _limits_complaint(limits: dict[str, int | float | None], *, is_privileged: bool) -> str:
    try:
        read = msgspec.convert(limits, ManifestLimits, strict=True)
        CommandDefinition(
            name="", description="", input_schema={}, command="true", limits=read
        ).profile()
    except msgspec.ValidationError as error:
        return f"{error}."
    except InvalidInputError as error:
        return error.message
    free = sorted(name for name, value in limits.items() if value is None)
    if free and not is_privileged:
        return f"No limit for {', '.join(free)}: only a privileged tool may ask for that."
    return ""


def _secrets_complaint(wanted: Declared) -> str:
    if len(wanted.secrets) > MAX_SECRETS:
        return f"Names more than {MAX_SECRETS} secrets."
    files = {each for each in wanted.secrets if isinstance(each, str)}
    bound = [each for each in wanted.secrets if isinstance(each, HostSecret)]
    for name in (*sorted(files), *(each.name for each in bound)):
        if not _SECRET.fullmatch(name):
            return f"{name[:100]!r} cannot be the name of a secret."
    for each in bound:
        if each.name in files:
            return (
                f"{each.name!r} is a file of the program and is added outside for {each.host}; "
                "keep one of the two: what is a file is known inside."
            )
        if complaint := _format_complaint(each):
            return complaint
    return _bound_complaint(wanted, bound)


def _format_complaint(secret: HostSecret) -> str:
    around = secret.format.replace(VALUE, "", 1)
    if VALUE not in secret.format or VALUE in around:
        return f"The format of {secret.name!r} has to hold {VALUE} once, as in `Bearer {VALUE}`."
    if len(around) > MAX_AROUND_SECRET or redact({"format": around}) != {"format": around}:
        return (
            f"The format of {secret.name!r} holds what looks like a secret itself; a declaration "
            "is shown to everybody who may see the tool."
        )
    return ""


def _bound_complaint(wanted: Declared, bound: Sequence[HostSecret]) -> str:
    """Ask the gateway itself whether it could add these, with a value in their place."""
    if bound and wanted.engine is Isolation.DISABLED:
        return "Without a sandbox there is no gateway that adds a secret to requests."
    if _net_complaint(wanted.net):
        return ""  # which says it under its own name
    try:
        check_hosts(wanted.net, [each.credential("value") for each in bound])
    except SandboxRefusedError as error:
        return f"{error.message} {error.remedy}"
    return ""


def _names_complaint(properties: Any) -> str:
    """Two arguments must not be the same variable."""
    seen: dict[str, str] = {}
    for name in properties if isinstance(properties, dict) else ():
        variable = variable_of(str(name))
        if variable in seen:
            return f"{seen[variable]!r} and {name!r} are both the variable {variable}; rename one."
        seen[variable] = str(name)
    return ""
