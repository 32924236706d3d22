"""The sandbox of the earlier tool: its engines, limits and permissions, in today's words."""

import re
from collections.abc import Iterable
from typing import Any

from agentry.cli.documents.places import Finding, Placed, Unreadable
from agentry.cli.legacy.notes import Translation

ENGINES = {
    "docker": "docker",
    "gvisor": "gvisor",
    "firecracker": "microvm",
    "microvm": "microvm",
    "bubblewrap": "bubblewrap",
    "landlock": "landlock",
    "disabled": "disabled",
    "none": "disabled",
}
_CRI = "cri is not an engine here; name docker or gvisor, and nothing weaker is used instead"
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_CPU = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m?)")
# Without isolation nothing can hold these, and only a privileged tool may do without.
_UNHELD = ("cpu", "memory_bytes", "pids", "disk_bytes")


def read_engine(place: Placed | None) -> str:
    """Return today's name of an engine that is asked for; empty when none is.

    Raises:
        Unreadable: It does not exist here. Work that asked for it runs in nothing else.
    """
    if place is None or place.value in (None, ""):
        return ""
    name = str(place.value).lower()
    if name not in ENGINES:
        known = ", ".join(ENGINES)
        told = _CRI if name == "cri" else f"there is no sandbox engine {name!r}; use one of {known}"
        raise Unreadable([Finding(place.place, f"{told}. Nothing was imported.")])
    return ENGINES[name]


def site_engine(source: Placed, translation: Translation) -> str:
    """Read `sandbox`: the engine of every command that names none itself."""
    sandbox = source.get("sandbox")
    if sandbox is None:
        return ""
    if not isinstance(sandbox.value, dict):
        translation.unsupported(source.keys["sandbox"], "sandbox is not a mapping; ignored.")
        return ""
    for key in sandbox.value:
        if key != "engine":
            translation.unsupported(
                sandbox.keys[key],
                f"sandbox.{key} is set by the server's environment.",
            )
    found = sandbox.get("engine")
    engine = read_engine(found)
    if found is None or not engine:
        return ""
    if engine == "disabled":
        translation.changed(
            found.place,
            "sandbox.engine → commands are declared to run WITHOUT A SANDBOX; the server refuses "
            "them unless its administrator allows that. Built-in programs stay in theirs.",
        )
    else:
        translation.changed(
            found.place,
            f"sandbox.engine → engine {engine} of every command; built-in programs run in the "
            "server's own, AGENTRY_SANDBOX_ENGINE.",
        )
    return engine


def read_sandbox(tool: Placed, name: str, engine: str, translation: Translation) -> dict[str, Any]:
    """Return what a tool asks of its sandbox, in the fields of a Tool."""
    wanted = read_engine(tool.get("engine")) or engine
    spec: dict[str, Any] = {"is_privileged": _flag(tool, "privileged", name, translation)}
    limits: dict[str, Any] = {}
    if wanted:
        spec["engine"] = wanted
    if wanted == "disabled":
        limits = dict.fromkeys(_UNHELD)
        spec["is_privileged"] = True
    if (net := tool.get("net")) is not None:
        spec["net"] = _net(net, name, translation)
    for key, ours, read in (("cpu_limit", "cpu", _cpu), ("mem_limit", "memory_bytes", _bytes)):
        found = tool.get(key)
        if found is None or found.value in (None, ""):
            continue
        value = read(str(found.value))
        if value is None:
            told = f"tool {name}: {key} {found.value!r} cannot be read; nothing was imported."
            raise Unreadable([Finding(found.place, told)])
        limits[ours] = value
    if limits:
        spec["limits"] = limits
    return spec


def is_allowed(tool: Placed, name: str, translation: Translation) -> bool:
    """Whether `permissions.allow` of a tool lets it be used."""
    permissions = tool.get("permissions")
    allow = permissions.get("allow") if permissions is not None else None
    if allow is None or allow.value is True:
        return True
    translation.changed(allow.place, f"tool {name}: permissions.allow → given to no agent.")
    return False


def allowed_tools(source: Placed, translation: Translation) -> list[str] | None:
    """Read `permissions.tools`: the only tools that may be used; None when it is not said."""
    permissions = source.get("permissions")
    if permissions is None:
        return None
    if not isinstance(permissions.value, dict):
        translation.unsupported(
            source.keys["permissions"], "permissions is not a mapping; nothing is allowed by it."
        )
        return []
    for key in permissions.value:
        if key != "tools":
            translation.unsupported(
                permissions.keys[key], f"permissions.{key} is decided by the server's policy."
            )
    listed = permissions.get("tools")
    if listed is None:
        return None
    translation.changed(
        listed.place, "permissions.tools → every agent is given these tools and no others."
    )
    return [str(each.value) for each in listed.items()]


def keep_only(documents: Iterable[dict[str, Any]], allowed: list[str], safe: list[str]) -> None:
    """Take what is not allowed from every agent; one that names no tools has the safe ones."""
    for document in documents:
        if document["kind"] == "Agent":
            spec = document["spec"]
            spec["tools"] = [name for name in spec.get("tools", safe) if name in allowed]


def _flag(tool: Placed, key: str, name: str, translation: Translation) -> bool:
    found = tool.get(key)
    if found is None or isinstance(found.value, bool):
        return bool(found.value) if found is not None else False
    translation.changed(found.place, f"tool {name}: {key} {found.value!r} was taken as true.")
    return True


def _net(net: Placed, name: str, translation: Translation) -> list[str]:
    pairs = []
    for each in net.items():
        text = str(each.value).strip().lower()
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit():
            translation.changed(each.place, f"tool {name}: net {text} → {text}:443.")
            text = f"{text}:443"
        pairs.append(text)
    if not isinstance(net.value, list):
        translation.unsupported(net.place, f"tool {name}: net is not a list; it gets no network.")
    return pairs


def _cpu(text: str) -> float | None:
    found = _CPU.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        return None
    return float(found[1]) / 1000 if found[2] else float(found[1])


def _bytes(text: str) -> int | None:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    value = int(float(found[1]) * 1024 ** _POWERS[found[2].lower()])
    return value if value > 0 else None
