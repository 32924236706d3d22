"""Answers kept for questions that come again, and which policies look at the run."""

from typing import Any

import msgspec
import pytest

from governance.errors import PolicyInvalidError
from governance.policy.cached import CachedEngine
from governance.policy.contracts import Effect, PolicyDecision, PolicyInput, abnormal
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.rego.source import require_default_deny, sees_run
from tests.unit.governance.policy.kit import call

HEAD = "package agentry.tool\n\nimport rego.v1\n\n"


class Counting:
    """Allows, and remembers what it was asked; breaks when told to."""

    digest = "counting"

    def __init__(self) -> None:
        self.asked: list[PolicyInput] = []
        self.is_broken = False

    def decide(self, question: PolicyInput) -> PolicyDecision:
        self.asked.append(question)
        if self.is_broken:
            return abnormal("it is broken", version=self.digest)
        return PolicyDecision(effect=Effect.ALLOW, rule=question.tool.name, version=self.digest)


def _of_run(question: PolicyInput, run_id: str) -> PolicyInput:
    return msgspec.structs.replace(question, run_id=run_id)


def test_equal_questions_are_asked_once() -> None:
    inner = Counting()
    engine = CachedEngine(inner, sees_run=False)

    rules = [
        engine.decide(question).rule
        for question in (call("a"), call("b"), _of_run(call("a"), "another"), call("a", user="bob"))
    ]

    assert (rules, len(inner.asked), engine.digest) == (["a", "b", "a", "a"], 3, "counting")


def test_a_policy_that_sees_the_run_is_asked_for_each() -> None:
    inner = Counting()
    engine = CachedEngine(inner, sees_run=True)

    for run_id in ("one", "two", "one"):
        engine.decide(_of_run(call(), run_id))

    assert [question.run_id for question in inner.asked] == ["one", "two"]


def test_no_abnormal_answer_is_kept() -> None:
    inner = Counting()
    engine = CachedEngine(inner, sees_run=False)
    inner.is_broken = True
    assert engine.decide(call()).is_abnormal

    inner.is_broken = False

    assert engine.decide(call()).effect is Effect.ALLOW


def test_the_answers_used_least_lately_go_first() -> None:
    inner = Counting()
    engine = CachedEngine(inner, sees_run=False, max_answers=2)

    for tool in ("a", "b", "a", "c", "a", "b"):
        engine.decide(call(tool))

    assert [question.tool.name for question in inner.asked] == ["a", "b", "c", "b"]


def test_what_is_no_json_is_left_to_the_engine() -> None:
    inner = Counting()

    CachedEngine(inner, sees_run=False).decide(call(arguments={"v": object()}))

    assert len(inner.asked) == 1


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('decision := {"effect": "deny"} if input.tool.name == "a"', False),
        ('decision := {"effect": "deny"} if input.run_id == "a"', True),
        ('decision := {"effect": "deny"} if input["run_id"] == "a"', True),
        ('decision := {"effect": "deny"} if json.marshal(input) == "a"', True),
        ('decision := {"effect": "deny"} if input.arguments.input == "a"', False),
    ],
)
def test_whether_the_run_is_seen_is_read_from_the_module(rule: str, expected: bool) -> None:
    assert sees_run(HEAD + rule) is expected


def test_no_compiled_matrix_sees_the_run() -> None:
    source = "rules: [{tools: [a], who: {roles: [b]}, hosts: [c], effect: deny}]"

    assert not sees_run(compile_matrix(parse_matrix(source)).module)


@pytest.mark.parametrize(
    ("default", "what"),
    [
        ("", "does not say what holds"),
        ('default other := {"effect": "deny"}', "does not say what holds"),
        ('default decision := {"effect": "allow"}', "it must deny"),
        ('default decision := {"rule": "x"}', "it must deny"),
        ('default decision := "deny"', "it must deny"),
        ('default decision := {"effect": effect}', "it must deny"),
    ],
)
def test_a_module_that_does_not_deny_by_default_is_refused(default: str, what: str) -> None:
    with pytest.raises(PolicyInvalidError, match=what):
        require_default_deny(f"{HEAD}{default}\n")


@pytest.mark.parametrize("more", ["", ', "rule": "default", "reason": "No."'])
def test_a_module_that_denies_by_default_is_not(more: Any) -> None:
    require_default_deny(f'{HEAD}default decision := {{"effect": "deny"{more}}}\n')
