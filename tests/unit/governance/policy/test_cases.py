"""Test cases beside a policy: reading them, running them, and what they say when they fail."""

from pathlib import Path

import pytest

from governance.errors import PolicyInvalidError
from governance.policy.cases import read_cases, run_cases
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool
from governance.policy.sources import PolicyLanguage, compile_policy
from tests.architecture.source import ROOT

POLICY = """
rules:
  - name: production
    tools: ["deploy-*"]
    arguments: {env: {equals: production}}
    effect: ask
    approvers: ["group:ops"]
    reason: "Production is for two."
    quorum: 2
"""
CASES = """\
given:
  tool: {name: deploy-app, effect: irreversible}
cases:
  - name: production is asked about
    input: {arguments: {env: production}}
    expect: {effect: ask, rule: production, approvers: ["group:ops"], quorum: 2}
  - name: staging is not
    input: {arguments: {env: staging}}
    expect: deny
  - input: {tool: {effect: read}}
    expect: allow
"""


def _engine() -> MatrixEngine:
    return MatrixEngine(parse_matrix(POLICY), digest="d")


def test_cases_that_hold_say_nothing() -> None:
    cases = read_cases(CASES)

    assert [case.name for case in cases] == [
        "production is asked about", "staging is not", "case 3",
    ]  # fmt: skip
    assert cases[2].question.tool.name == "deploy-app", "what is given stays"
    assert run_cases(_engine(), cases) == ()


def test_a_case_that_fails_says_what_came_instead() -> None:
    wrong = CASES.replace("quorum: 2", "quorum: 3").replace("expect: deny", "expect: ask")

    first, second = (str(failure) for failure in run_cases(_engine(), read_cases(wrong)))

    assert first == (
        "line 4, production is asked about: quorum is 2, expected 3 (rule production: "
        "Production is for two.)"
    )
    assert second == (
        "line 7, staging is not: effect is 'deny', expected 'ask' (rule default-irreversible: No "
        "rule of the policy decides this call. Then calls of the class irreversible are denied.)"
    )


def test_a_policy_that_fails_does_not_count_as_a_denial(pool: RegoPool) -> None:
    module = 'package agentry.tool\n\nimport rego.v1\n\ndecision := {"effect": "permit"}\n'
    engine = RegoEngine(module, pool=pool, deadline_seconds=10)

    (failure,) = run_cases(engine, read_cases("cases: [{name: it, expect: deny}]"))

    assert "effect is 'deny, because the policy failed', expected 'deny'" in str(failure)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("cases: {}", "line 1, column 1: there are no cases"),
        ("", "line 1, column 1: it is empty"),
        ("cases: [{input: {}}]", "line 1, column 9: this case expects nothing"),
        ("cases: [{expect: permit}]", "line 1, column 18: `effect` cannot be `permit`"),
        ("cases: [{expect: {}}]", "line 1, column 10: `expect` says nothing"),
        ("cases: [{expect: {efect: deny}}]", "line 1, column 19: `expect` has no key `efect`"),
        (
            "cases: [{input: {tool: {nmae: x}}, expect: deny}]",
            "line 1, column 25: `tool` has no key `nmae`",
        ),
        (
            "cases: [{input: {hosts: x}, expect: deny}]",
            "line 1, column 9: its input is wrong: Expected `array`, got `str` - at `$.hosts`",
        ),
        ("given: {tol: {}}\ncases: []", "line 1, column 9: an input has no key `tol`"),
        ("cases: [" + "{expect: deny}," * 2001 + "]", "more than 2000 cases"),
    ],
)
def test_mistakes_in_cases_have_their_place(text: str, mistake: str) -> None:
    with pytest.raises(PolicyInvalidError) as raised:
        read_cases(text)

    assert mistake in raised.value.message


@pytest.mark.parametrize("file", sorted((ROOT / "examples" / "policies").glob("*.policy.yaml")))
def test_the_example_policies_pass_their_cases(pool: RegoPool, file: Path) -> None:
    compiled = compile_policy(file.read_text(encoding="utf-8"), PolicyLanguage.MATRIX)
    engine = RegoEngine.load(compiled.module, pool=pool, deadline_seconds=10)
    cases = read_cases(
        file.with_name(file.name.replace(".policy.", ".cases.")).read_text(encoding="utf-8")
    )

    assert len(cases) >= 5
    assert [str(failure) for failure in run_cases(engine, cases)] == []


def test_the_example_in_rego_passes_its_cases(pool: RegoPool) -> None:
    folder = ROOT / "examples" / "policies"
    compiled = compile_policy(
        (folder / "spending.rego").read_text(encoding="utf-8"), PolicyLanguage.REGO
    )
    engine = RegoEngine.load(compiled.module, pool=pool, deadline_seconds=10)
    cases = read_cases((folder / "spending.cases.yaml").read_text(encoding="utf-8"))

    assert engine.digest == compiled.digest
    assert len(cases) >= 4
    assert [str(failure) for failure in run_cases(engine, cases)] == []
