"""The tools that come with the code, by name; the app that has them tells them at start.

Their names are taken in every workspace: what a declared tool is called is never a built-in's.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from plugins.contracts import Tool, ToolSpec

_builtins: dict[str, Tool] = {}


def builtins_register(tools: Iterable[Tool]) -> None:
    """Add tools; registering one again replaces it. Called while apps start."""
    for tool in tools:
        _builtins[tool.spec.name] = tool


def builtin_specs() -> Mapping[str, ToolSpec]:
    """Return what the built-in tools promise, by name in order."""
    return MappingProxyType({name: _builtins[name].spec for name in sorted(_builtins)})
