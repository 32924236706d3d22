"""What became of the other keys of `.agentry.yaml`, each with a sentence."""

import re
from decimal import Decimal
from typing import Any

from agentry.cli.documents.places import Placed, suggestion
from agentry.cli.legacy.notes import Translation

TRANSLATED = frozenset({"models", "routes", "tools", "include", "max_iterations", "budget",
                        "sandbox", "permissions"})  # fmt: skip
_SERVER = "is a setting of the server here"
_NOT_CARRIED = {
    "memory": "conversations are kept in the server's database; nothing has to be chosen",
    "store": "conversations are kept in the server's database; nothing has to be chosen",
    "session_ttl": _SERVER,
    "session_gc_interval": _SERVER,
    "vector_store": "vector memory is not supported yet",
    "metrics": "metrics are always on, at /metrics",
    "collector": "tracing is set by the server's OTEL_ variables",
    "port": _SERVER,
    "theme": "is about a terminal interface that does not exist here",
    "themes": "is about a terminal interface that does not exist here",
    "keybinds": "is about a terminal interface that does not exist here",
    "credentials": "secrets are not read from files; use {env: NAME} in a Provider",
    "mcp_servers": "MCP servers are not supported yet",
    "persistent_agents": "every run is durable here; nothing has to be switched on",
    "presets": "belong to flows, which are not supported yet",
    "agents": "belong to flows, which are not supported yet",
    "tasks": "belong to flows, which are not supported yet",
}
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+")
_DURATIONS = frozenset({"session_ttl", "session_gc_interval"})


def read_limits(source: Placed, translation: Translation) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    iterations = source.get("max_iterations")
    if iterations is not None:
        if isinstance(iterations.value, int) and iterations.value > 0:
            limits["max_iterations"] = iterations.value
            translation.kept(iterations.place, "max_iterations → limits of every agent.")
        else:
            translation.unsupported(iterations.place, "max_iterations must be a number above zero.")
    budget = source.get("budget")
    for key, ours in (("tokens", "max_tokens"), ("dollars", "max_cost_usd")):
        value = budget.get(key) if budget else None
        if value is None:
            continue
        if not isinstance(value.value, int | float) or value.value <= 0:
            translation.unsupported(value.place, f"budget.{key} must be a number above zero.")
            continue
        limits[ours] = str(Decimal(str(value.value))) if key == "dollars" else int(value.value)
        translation.changed(
            value.place, f"budget.{key} → limits.{ours} of every agent, counted for each run."
        )
    return limits


def report_rest(source: Placed, translation: Translation) -> None:
    """Name every key that is not translated."""
    for key, value in source.value.items():
        if key in TRANSLATED:
            continue
        place = source.keys[key]
        if key not in _NOT_CARRIED:
            hint = suggestion(key, TRANSLATED | set(_NOT_CARRIED)).strip()
            hint = hint if hint.startswith("Did") else ""
            translation.unsupported(place, f"{key} is not known; ignored. {hint}".strip())
            continue
        told = f"{key}: {_NOT_CARRIED[key]}."
        if key in _DURATIONS and not _DURATION.fullmatch(str(value.value)):
            told += f" ({value.value!r} is not a duration either.)"
        translation.unsupported(place, told)
