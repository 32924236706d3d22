"""One suite for every policy engine: the same calls in, the same decisions out."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from governance.policy.contracts import (
    Effect,
    OnExpiry,
    PolicyDecision,
    PolicyEngine,
    PolicyInput,
)
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from tests.conformance.policy.subjects import ALL, subject
from tests.unit.governance.policy.cases import INPUTS
from tests.unit.governance.policy.kit import call

MATRIX = r"""
version: 1
default: {irreversible: ask}
rules:
  - name: no-metadata
    hosts: ["169.254.*", "[fd00:ec2::254]", "*.internal"]
    effect: deny
    reason: 'Metadata services hand out "keys".'
  - name: secrets-stay
    paths: ["**/secrets/**", "/etc/**"]
    effect: deny
  - name: big-money
    tools: [pay, a*b]
    arguments:
      amount: {min: 1000}
    effect: ask
    approvers: ["group:finance", "user:ada"]
    quorum: 2
    expires: 2d
    on_expiry: escalate
    escalate_to: ["role:admin"]
  - name: release
    tools: [shell]
    who: {groups: [ops], roles: ["rel*"], agents: ["*"]}
    arguments:
      command: {regex: 'git (push|tag) "?v\d+\.\d+"?'}
    effect: ask
    allow_self: true
    allow_owner: false
    grantable: true
  - name: everyday-git
    tools: [shell]
    arguments:
      command: {glob: ["git status*", "git commit -m \"*\""], not: {glob: "*\n*"}}
    effect: allow
  - name: odd
    arguments:
      "a[*]": {glob: ["*é*", "*b*"], not: {equals: bob}}
    paths: {outside: ["/workspace/**"]}
    effect: deny
  - name: workspace-files
    tools: ["fs.*"]
    paths: ["/workspace/**"]
    effect: allow
"""

_DENIED = {"effect": Effect.DENY}
_CASES: list[tuple[PolicyInput, dict[str, Any]]] = [
    (
        call("http", hosts=("169.254.169.254:80",)),
        {**_DENIED, "rule": "no-metadata", "reason": 'Metadata services hand out "keys".'},
    ),
    (call("http", hosts=("ok.com", "x.internal:1")), {**_DENIED, "rule": "no-metadata"}),
    (call("http", hosts=("OK.com",)), {**_DENIED, "rule": "no-metadata"}),
    (call("http", hosts=("ok.com",)), {"effect": Effect.ALLOW, "rule": "default-read"}),
    (call("fs.read", paths=("/workspace/secrets/k",)), {**_DENIED, "rule": "secrets-stay"}),
    (call("fs.read", paths=("/workspace/../etc/x",)), {**_DENIED, "rule": "secrets-stay"}),
    (call("fs.write", effect="irreversible", paths=("/workspace/a",)), {"rule": "workspace-files"}),
    (call("fs.write", effect="irreversible", paths=("/tmp/a",)), {"rule": "default-irreversible"}),
    (call("fs.write", effect="irreversible", paths=()), {"rule": "default-irreversible"}),
    (call("fs.write", effect="read", privileged=True), {**_DENIED, "rule": "default-privileged"}),
    (
        call("pay", arguments={"amount": 1000}),
        {
            "effect": Effect.ASK,
            "rule": "big-money",
            "approvers": ("group:finance", "user:ada"),
            "quorum": 2,
            "expires_seconds": 172_800,
            "on_expiry": OnExpiry.ESCALATE,
            "escalate_to": ("role:admin",),
            "allow_self": False,
            "allow_owner": True,
            "is_grantable": None,
        },
    ),
    (call("pay", arguments={"amount": 999.99}), {"rule": "default-read"}),
    (call("pay", arguments={"amount": "1"}), {"rule": "big-money"}),
    (call("aXXb", arguments={"amount": 1e300}), {"rule": "big-money"}),
    (
        call(groups=("ops",), arguments={"command": 'git tag "v1.2"'}),
        {
            "rule": "release",
            "allow_self": True,
            "allow_owner": False,
            "is_grantable": True,
            "approvers": (),
        },
    ),
    (call(roles=("x", "release"), arguments={"command": "git push v1.20"}), {"rule": "release"}),
    (
        call(roles=("release",), arguments={"command": "git push v1.20; x"}),
        {"rule": "default-read"},
    ),
    (
        call(effect="irreversible", arguments={"command": 'git commit -m "says \\"hi\\""'}),
        {"rule": "everyday-git", "effect": Effect.ALLOW},
    ),
    (
        call(effect="irreversible", arguments={"command": "git status\nrm -rf /"}),
        {"rule": "default-irreversible", "effect": Effect.ASK},
    ),
    (call(arguments={"a": ["Århus é"]}, paths=("/x",)), {**_DENIED, "rule": "odd"}),
    (call(arguments={"a": "bob"}, paths=("/x",)), {"rule": "default-read"}),
]


@pytest.fixture(scope="module", params=ALL)
def engine(request: pytest.FixtureRequest) -> Iterator[PolicyEngine]:
    with subject(request.param, MATRIX) as found:
        yield found


def test_the_digest_names_the_policy_and_not_the_engine(engine: PolicyEngine) -> None:
    assert engine.digest == compile_matrix(parse_matrix(MATRIX)).digest


@pytest.mark.parametrize(("question", "expected"), _CASES)
def test_a_call_gets_its_decision(
    engine: PolicyEngine, question: PolicyInput, expected: dict[str, Any]
) -> None:
    decision = engine.decide(question)

    assert {name: getattr(decision, name) for name in expected} == expected
    assert decision.version == engine.digest
    assert not decision.is_abnormal


@pytest.mark.parametrize(
    "arguments",
    [{"v": object()}, {"v": "\ud800"}, {"v": "x" * 1_100_000}],
    ids=["no JSON", "half a character", "too large"],
)
def test_a_call_that_cannot_be_written_down_is_denied(
    engine: PolicyEngine, arguments: dict[str, object]
) -> None:
    decision = engine.decide(call(arguments=arguments))

    assert decision.effect is Effect.DENY
    assert decision.is_abnormal
    assert decision.reason.startswith("Denied, because the policy could not decide: the ")


def test_threads_may_ask_at_the_same_time(engine: PolicyEngine) -> None:
    found: list[list[PolicyDecision]] = []
    threads = [
        threading.Thread(
            target=lambda: found.append([engine.decide(question) for question, _ in _CASES])
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4
    assert found == [found[0]] * 4


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(question=INPUTS)
def test_generated_calls_get_the_decision_of_the_reference(
    engine: PolicyEngine, question: PolicyInput
) -> None:
    matrix = parse_matrix(MATRIX)

    assert engine.decide(question) == MatrixEngine(matrix, digest=engine.digest).decide(question)
