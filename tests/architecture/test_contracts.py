"""The rules that tools check have no way around them."""

import tomllib
from typing import Any

import pytest

from tests.architecture.source import ROOT, modules


def _configuration() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        tools: dict[str, Any] = tomllib.load(file)["tool"]
        return tools


def test_import_contracts_have_no_exceptions() -> None:
    contracts = _configuration()["importlinter"]["contracts"]

    assert {contract["id"] for contract in contracts} >= {
        "chain", "shape", "kernel", "pure", "client", "guardian",
        "private-governance", "private-observability", "private-sandbox", "private-plugins",
        "private-agents",
    }  # fmt: skip
    assert [contract["id"] for contract in contracts if "ignore_imports" in contract] == []


def test_types_are_checked_strictly_everywhere() -> None:
    mypy = _configuration()["mypy"]

    assert mypy["strict"] is True
    loosened = [
        override
        for override in mypy.get("overrides", [])
        if set(override) - {"module", "ignore_missing_imports"}
    ]
    assert loosened == []


@pytest.mark.parametrize("comment", ["mypy: ", "ruff: noqa", "pragma: no cover"])
def test_no_file_excuses_itself(comment: str) -> None:
    """A line may carry a reasoned exception; a file may not, and nothing escapes coverage."""
    sentence = f"# {comment}"
    excused = [
        module.place
        for module in modules(
            "core",
            "governance",
            "observability",
            "sandbox",
            "plugins",
            "agents",
            "agentry_site",
            "agentry",
        )
        if sentence in module.text
    ]

    assert excused == []
