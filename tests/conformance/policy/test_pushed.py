"""Policies of ours on an OPA server: put there, put there again when it forgot, and denied while it
is away or does not take them."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance.policy.contracts import Effect, PolicyDecision, PolicyInput
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from governance.policy.opa import OpaClient, PushedOpaEngine
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool
from tests.conformance.policy.subjects import PATIENT_SECONDS, opa_process, pushed_engine
from tests.unit.governance.policy.cases import INPUTS, MATRICES
from tests.unit.governance.policy.kit import call

REGO = """# package agentry.tool: this line is none
package agentry.tool

import rego.v1

default decision := {"effect": "deny", "rule": "default"}

decision := {"effect": "allow", "rule": "reads"} if input.tool.effect == "read"
"""
MATRICES_TRIED = 100
CALLS_EACH = 10


def _why(decision: PolicyDecision) -> str:
    assert (decision.effect, decision.is_abnormal) == (Effect.DENY, True)
    return decision.reason.removeprefix("Denied, because the policy could not decide: ")


def test_policies_are_side_by_side_under_their_digests() -> None:
    other = REGO.replace("reads", "others")
    with (
        opa_process() as process,
        pushed_engine(process.url, REGO, digest="one") as one,
        pushed_engine(process.url, other, digest="two") as two,
    ):
        found = [each.decide(call()) for each in (one, two, one)]

    assert [(each.rule, each.version) for each in found] == [
        ("reads", "one"), ("others", "two"), ("reads", "one"),
    ]  # fmt: skip


def test_a_server_that_was_restarted_is_given_its_policies_again() -> None:
    with opa_process() as process, pushed_engine(process.url, REGO) as engine:
        assert engine.decide(call()).rule == "reads"

        process.stop()
        assert _why(engine.decide(call())) == "the policy server cannot be reached."
        process.start()

        assert engine.decide(call()).rule == "reads"
        assert engine.decide(call(effect="irreversible")).rule == "default"


def test_a_policy_the_server_has_no_answer_from_is_no_decision() -> None:
    module = REGO.replace("default decision", "unused")
    with opa_process() as process, pushed_engine(process.url, module) as engine:
        assert engine.decide(call()).rule == "reads"
        assert _why(engine.decide(call(effect="keyed"))) == (
            "the policy server has no decision for this call."
        )


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("500", "the policy server answered with status 500."),
        ("302", "the policy server answered with status 302."),
        ("cuts", "the policy server broke off."),
        ("hangs", "the policy server did not answer in time (taking a policy has 200 ms)."),
    ],
)
def test_a_server_that_does_not_take_the_policy_denies(fault: str, why: str) -> None:
    with opa_process() as process:
        client = OpaClient(f"{process.url}/fault/{fault}")
        engine = PushedOpaEngine(REGO, digest="d", client=client, push_seconds=0.2)

        assert _why(engine.decide(call())) == why
        client.close()


def test_all_engines_agree_on_a_thousand_generated_calls() -> None:
    """One engine is the meaning of a matrix, one evaluates in a process, one over HTTP."""
    judged: list[str] = []
    pool = RegoPool(processes=1, queue_seconds=30)

    with opa_process() as process:
        client = OpaClient(process.url)

        @settings(
            max_examples=MATRICES_TRIED,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(text=MATRICES, calls=st.lists(INPUTS, min_size=CALLS_EACH, max_size=CALLS_EACH))
        def agree(text: str, calls: list[PolicyInput]) -> None:
            matrix = parse_matrix(text)
            compiled = compile_matrix(matrix)
            reference = MatrixEngine(matrix, digest=compiled.digest)
            rego = RegoEngine(compiled.module, pool=pool, deadline_seconds=PATIENT_SECONDS)
            opa = PushedOpaEngine(
                compiled.module,
                digest=compiled.digest,
                client=client,
                deadline_seconds=PATIENT_SECONDS,
                push_seconds=PATIENT_SECONDS,
            )
            for question in calls:
                expected = reference.decide(question)
                judged.append(expected.effect)
                assert rego.decide(question) == expected, json.dumps(text)
                assert opa.decide(question) == expected, json.dumps(text)

        try:
            agree()
        finally:
            client.close()
            pool.close()

    assert len(judged) >= 1000
    assert set(judged) == set(Effect)
