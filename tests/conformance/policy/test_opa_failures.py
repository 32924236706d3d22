"""Whatever an OPA server does instead of answering, the call is denied, in time and with a reason.

The server is a program of its own on a real port.
"""

import socket
import time
from collections.abc import Iterator

import pytest

from governance.policy.contracts import ABNORMAL_RULE, Effect, PolicyDecision
from tests.conformance.policy.subjects import OpaProcess, opa_engine, opa_process
from tests.unit.governance.policy.kit import call

MODULE = """package agentry.tool

import rego.v1

decision := {"effect": "allow", "rule": "served"} if input.tool.name == "shell"

decision := {"effect": "deny", "rule": startswith(1, "a")} if input.tool.name == "fails"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[OpaProcess]:
    with opa_process(MODULE) as process:
        yield process


def _denied(decision: PolicyDecision) -> str:
    assert decision.effect is Effect.DENY
    assert decision.is_abnormal
    assert decision.rule == ABNORMAL_RULE
    return decision.reason.removeprefix("Denied, because the policy could not decide: ")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("500", "the policy server answered with status 500."),
        ("503", "the policy server answered with status 503."),
        ("404", "the policy server answered with status 404."),
        ("302", "the policy server answered with status 302."),
        ("204", "the policy server answered with status 204."),
        ("not-json", "the policy server's answer is not of OPA's shape."),
        ("no-body", "the policy server's answer is not of OPA's shape."),
        ("list", "the policy server's answer is not of OPA's shape."),
        ("deep", "the policy server's answer is not of OPA's shape."),
        ("undefined", "the policy server has no decision for this call."),
        ("true", "its answer is no decision: Expected `object`, got `bool`."),
        ("null", "its answer is no decision: Expected `object`, got `null`."),
        ("permit", "its answer is no decision: Invalid enum value 'permit' - at `$.effect`."),
        ("no-effect", "its answer is no decision: Object missing required field `effect`."),
        ("more", "its answer is no decision: Object contains unknown field `allow`."),
        ("quorum", "its answer is no decision: Expected `int`, got `str` - at `$.quorum`."),
        ("never-ends", "the policy server's answer is too long."),
        ("cuts", "the policy server broke off."),
        ("cuts-in-the-middle", "the policy server broke off."),
    ],
)
def test_what_is_no_answer_denies(server: OpaProcess, fault: str, why: str) -> None:
    with opa_engine(f"{server.url}/fault/{fault}") as engine:
        assert _denied(engine.decide(call())) == why
        assert engine.decide(call()).version == engine.digest


@pytest.mark.parametrize("fault", ["hangs", "drips"])
def test_a_server_that_keeps_us_waiting_is_given_up(server: OpaProcess, fault: str) -> None:
    with opa_engine(f"{server.url}/fault/{fault}", seconds=0.25) as engine:
        began = time.monotonic()

        why = _denied(engine.decide(call()))

    assert why == "the policy server did not answer in time (a decision has 250 ms)."
    assert time.monotonic() - began < 10, "nothing in the server would have ended it"


def test_a_server_that_does_not_listen_denies() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with opa_engine(f"http://127.0.0.1:{taken.getsockname()[1]}") as engine:
            assert _denied(engine.decide(call())) == "the policy server cannot be reached."


def test_a_server_that_accepts_and_says_nothing_denies() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with opa_engine(url, seconds=0.25) as engine:
            assert "did not answer in time" in _denied(engine.decide(call()))


@pytest.mark.parametrize("url", ["http://", "nonsense", "ftp://x"])
def test_an_address_that_is_none_denies(url: str) -> None:
    with opa_engine(url) as engine:
        assert _denied(engine.decide(call()))


def test_a_failing_function_of_the_policy_denies(server: OpaProcess) -> None:
    with opa_engine(server.url) as engine:
        assert engine.decide(call("shell")).rule == "served"
        assert _denied(engine.decide(call("fails"))) == (
            "the policy server answered with status 500."
        )
        assert _denied(engine.decide(call("other"))) == (
            "the policy server has no decision for this call."
        )


def test_a_restart_costs_no_decision_and_an_outage_denies_until_it_ends() -> None:
    with opa_process(MODULE) as process, opa_engine(process.url) as engine:
        assert engine.decide(call()).rule == "served"

        process.stop()
        process.start()

        assert engine.decide(call()).rule == "served", "the kept connection was dead"

        process.stop()
        assert _denied(engine.decide(call())) == "the policy server cannot be reached."
        process.start()
        assert engine.decide(call()).rule == "served"


def test_the_revisions_of_bundles_are_the_version(server: OpaProcess) -> None:
    with opa_engine(f"{server.url}/fault/bundles") as engine:
        decision = engine.decide(call())

    assert decision.effect is Effect.ALLOW
    assert decision.version != engine.digest
    assert decision.version.startswith("opa:")


def test_without_bundles_the_version_is_what_the_engine_was_told(server: OpaProcess) -> None:
    with opa_engine(f"{server.url}/fault/odd-provenance", digest="given") as engine:
        assert engine.decide(call()).version == "given"
