"""What a matrix means and what it compiles to are the same: every kind of test on every odd value,
and whole matrices on generated calls."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance.policy.contracts import PolicyInput
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool
from tests.unit.governance.policy.cases import (
    HOST_GLOBS,
    HOSTS,
    INPUTS,
    MATRICES,
    NUMBERS,
    PATH_GLOBS,
    PATHS,
    PATTERNS,
    SCALARS,
    TEXT_GLOBS,
    TEXTS,
)
from tests.unit.governance.policy.kit import call

MATRIX_COUNT = 125
CALLS_EACH = 10

_seen: Counter[str] = Counter()


@settings(
    max_examples=MATRIX_COUNT,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(text=MATRICES, calls=st.lists(INPUTS, min_size=CALLS_EACH, max_size=CALLS_EACH))
def _agree(pool: RegoPool, text: str, calls: list[PolicyInput]) -> None:
    matrix = parse_matrix(text)
    compiled = compile_matrix(matrix)
    reference = MatrixEngine(matrix, digest=compiled.digest)
    rego = RegoEngine.load(compiled.module, pool=pool, deadline_seconds=20)
    for question in calls:
        expected = reference.decide(question)
        _seen[f"{expected.effect}{' by default' * expected.rule.startswith('default')}"] += 1
        assert rego.decide(question) == expected


def test_a_matrix_and_its_compiled_module_agree_on_a_thousand_calls(pool: RegoPool) -> None:
    _seen.clear()

    _agree(pool)

    assert _seen.total() >= 1000
    # The agreement is about something: rules of each effect decided, and so did defaults.
    assert min(_seen[effect] for effect in ("allow", "ask", "deny", "deny by default")) >= 20


def test_a_matrix_that_is_looked_up_by_tool_agrees_on_a_thousand_calls(
    pool: RegoPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As large ones are; here the generated ones are made to be."""
    monkeypatch.setattr("governance.policy.matrix.compile.MAX_CHAIN", 0)
    monkeypatch.setattr("governance.policy.matrix.index.LEAF", 1)
    _seen.clear()

    _agree(pool)

    assert _seen.total() >= 1000
    assert min(_seen[effect] for effect in ("allow", "ask", "deny", "deny by default")) >= 20


def test_a_matrix_of_five_hundred_rules_stays_small_and_agrees(pool: RegoPool) -> None:
    effects = ("deny", "ask", "allow")
    rules: list[dict[str, Any]] = [
        {
            "tools": [f"tool{number}", f"Tool.{number % 7}"],
            "arguments": {"a": {"equals": number % 3}},
            "effect": effects[number % 3],
        }
        for number in range(490)
    ]
    rules += [
        {"tools": [f"tool{n}*"], "who": {"roles": ["dev"]}, "effect": "ask"} for n in range(9)
    ]
    rules.append({"tools": ["plain"], "effect": "allow"})
    matrix = parse_matrix(json.dumps({"rules": rules}))
    compiled = compile_matrix(matrix)
    reference = MatrixEngine(matrix, digest=compiled.digest)
    rego = RegoEngine(compiled.module, pool=pool, deadline_seconds=20)
    tools = (
        "tool0",
        "tool244",
        "tool489",
        "tool9x",
        "Tool.3",
        "plain",
        "unknown",
        "",
        "~",
        "\u00e9",
    )
    calls = [
        call(tool, roles=roles, arguments={"a": number})
        for tool in tools
        for roles in ((), ("dev",))
        for number in (0, 1, 2)
    ]

    assert len(compiled.module) < 600 * len(rules)
    decided = [reference.decide(question) for question in calls]
    assert [rego.decide(question) for question in calls] == decided
    assert len({decision.rule for decision in decided}) > 10


def _arguments(*values: Any) -> list[PolicyInput]:
    return [call(arguments={"a": value}) for value in values]


_ODD: tuple[Any, ...] = (
    *TEXTS,
    *NUMBERS,
    *SCALARS,
    [],
    ["a", 1],
    {"a": "b"},
    "x" * 2048,
    "\u00e9" * 2049,
    '"' * 2048,
)
_KINDS: dict[str, tuple[Sequence[Any], Sequence[PolicyInput]]] = {
    "glob": ([{"arguments": {"a": {"glob": glob}}} for glob in TEXT_GLOBS], _arguments(*_ODD)),
    "regex": ([{"arguments": {"a": {"regex": each}}} for each in PATTERNS], _arguments(*_ODD)),
    "equals": ([{"arguments": {"a": {"equals": each}}} for each in SCALARS], _arguments(*_ODD)),
    "bounds": (
        [{"arguments": {"a": {key: each}}} for key in ("min", "max") for each in (-2.5, 0, 7, 100)],
        _arguments(*_ODD),
    ),
    "hosts": ([{"hosts": [glob]} for glob in HOST_GLOBS], [call(hosts=(each,)) for each in HOSTS]),
    "paths": ([{"paths": [glob]} for glob in PATH_GLOBS], [call(paths=(each,)) for each in PATHS]),
}


@pytest.mark.parametrize("effect", ["allow", "deny"])
@pytest.mark.parametrize("kind", _KINDS)
def test_every_test_judges_every_odd_value_alike(pool: RegoPool, kind: str, effect: str) -> None:
    asked, calls = _KINDS[kind]
    differing = []
    for each in asked:
        matrix = parse_matrix(json.dumps({"rules": [{"effect": effect, **each}], "default": "ask"}))
        compiled = compile_matrix(matrix)
        reference = MatrixEngine(matrix, digest=compiled.digest)
        rego = RegoEngine(compiled.module, pool=pool, deadline_seconds=20)
        differing += [
            (each, question.arguments, question.hosts, question.paths)
            for question in calls
            if rego.decide(question) != reference.decide(question)
        ]

    assert differing == []
