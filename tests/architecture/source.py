"""The project's own source, read once: which files there are and what they say."""

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("core", "governance", "observability", "sandbox", "plugins", "agents")
SERVER = (*APPS, "agentry_site")
LIBRARY = (*SERVER, "agentry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Python file; `name` is dotted, `place` is what a message shows."""

    path: Path
    text: str

    @property
    def place(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def name(self) -> str:
        return self.place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def tree(self) -> ast.Module:
        return _parse(self.path)


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file below the folders, without migrations (the database writes those)."""
    found = [
        Module(path=path, text=path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts
    ]
    assert found, f"no Python files below {folders}"
    return tuple(found)


def nodes(module: Module, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(module.tree()) if isinstance(node, kinds))


def need(name: str) -> None:
    """Skip, with a reason nobody may overlook, when the module a rule speaks of is not there.

    Under --strict-skips, which `scripts/test` uses, such a skip fails.
    """
    try:
        is_there = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        pytest.skip(f"{name} does not exist, so its rule has nothing to hold")
