"""Tools that park a run, and the register of all built-in tools."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from msgspec import structs

from agents.tools.registry import BUILTIN_TOOLS, safe_builtins
from core import clock
from plugins.contracts import EffectClass, Park, WaitKind
from plugins.digest import spec_digest
from plugins.errors import InvalidArgumentsError

ParkCall = Callable[..., Any]


def test_wait_for_seconds(park: ParkCall) -> None:
    before = clock.now().timestamp()
    parked = park("wait", seconds=60)
    assert parked.kind is WaitKind.TIMER
    assert before + 60 <= parked.until <= clock.now().timestamp() + 60


def test_wait_until_a_time(park: ParkCall) -> None:
    until = clock.now() + timedelta(days=2)
    assert park("wait", until=until.isoformat()) == Park(
        kind=WaitKind.TIMER, until=until.timestamp()
    )
    assert park("wait", until="2020-01-01T00:00:00Z").text == (
        "2020-01-01T00:00:00Z has passed already."
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "either seconds or until"),
        ({"seconds": 1, "until": "2099-01-01T00:00:00Z"}, "either seconds or until"),
        ({"seconds": -1}, "do not fit"),
        ({"seconds": 30 * 24 * 3600 + 1}, "do not fit"),
        ({"until": "tomorrow"}, "is not a time"),
        ({"until": "2099-01-01T00:00:00"}, "does not say its time zone"),
        ({"until": "2099-01-01T00:00:00Z"}, "more than 30 days away"),
        ({"until": "0001-01-01T00:00:00+23:59"}, "out of range"),
    ],
)
def test_wait_that_cannot_be(arguments: dict[str, Any], sentence: str, park: ParkCall) -> None:
    with pytest.raises(InvalidArgumentsError, match=sentence):
        park("wait", **arguments)


def test_agent_asks_for_a_child(park: ParkCall) -> None:
    assert park("agent", agent="coder", input="do it") == Park(
        kind=WaitKind.CHILDREN, spawn={"agent": "coder", "input": "do it"}
    )


def test_all_built_in_tools_are_registered_and_safe() -> None:
    assert list(BUILTIN_TOOLS) == [
        "agent", "echo", "edit", "fetch", "glob", "grep", "insert", "ls", "patch", "python",
        "search_replace", "bash", "sh", "todo", "view", "wait", "write",
    ]  # fmt: skip
    programs = {"bash", "python", "sh"}
    assert safe_builtins() == frozenset(BUILTIN_TOOLS) - programs
    assert {name for name, tool in BUILTIN_TOOLS.items() if tool.spec.sandbox} == programs
    changing = {"agent", "edit", "insert", "patch", "search_replace", "todo", "write"}
    for name, tool in BUILTIN_TOOLS.items():
        wanted = EffectClass.IDEMPOTENT if name in changing else EffectClass.READ
        wanted = EffectClass.IRREVERSIBLE if name in programs else wanted
        assert (tool.spec.name, tool.spec.effect) == (name, wanted)


@pytest.mark.parametrize("name", BUILTIN_TOOLS)
def test_schema_is_strict_flat_and_described(name: str) -> None:
    schema = BUILTIN_TOOLS[name].spec.input_schema
    jsonschema.Draft202012Validator.check_schema(schema)
    _check_strict(schema)


def _check_strict(schema: dict[str, Any]) -> None:
    assert "$ref" not in schema
    if schema.get("type") == "object":
        assert schema["additionalProperties"] is False
        for inner in schema["properties"].values():
            assert inner["description"]
            _check_strict(inner)
    elif schema.get("type") == "array":
        assert schema["maxItems"]
        _check_strict(schema["items"])
    elif schema.get("type") == "string":
        assert "maxLength" in schema or "enum" in schema


# A run is pinned to these: a new digest parks every run that waits with the old one. Change one
# only together with the tool's `version`.
DIGESTS = {
    "bash": "7a0f312df6209921",
    "python": "c70d5c7e1205e27a",
    "sh": "78e8ab459bf1f697",
    "agent": "bed64741bafdb418",
    "echo": "5deaf542fcbc2fc8",
    "edit": "e1268dc0c29d1480",
    "fetch": "9a5252141686970e",
    "glob": "9eaac291d9d04403",
    "grep": "3af008596ff4bbe4",
    "insert": "6fc92cebe7a47ca3",
    "ls": "2253ffda41b9aef8",
    "patch": "14cadfbcebb6467e",
    "search_replace": "f7e1796ba3226dca",
    "todo": "a00a1b5ab0ca9b5b",
    "view": "85891865bf05eaad",
    "wait": "bda923d6285bf137",
    "write": "bbbc22927d53969c",
}


def test_digests_of_built_in_tools_do_not_change_unnoticed() -> None:
    digests = {name: spec_digest(tool.spec)[:16] for name, tool in BUILTIN_TOOLS.items()}
    assert digests == DIGESTS


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    spec = BUILTIN_TOOLS["edit"].spec
    turned = dict(reversed(spec.input_schema.items()))
    assert list(turned) != list(spec.input_schema)
    assert spec_digest(structs.replace(spec, input_schema=turned)) == spec_digest(spec)
    for change in ({"description": "other"}, {"effect": EffectClass.KEYED}, {"version": "2"}):
        assert spec_digest(structs.replace(spec, **change)) != spec_digest(spec)
