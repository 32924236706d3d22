"""Planning: what the door makes of a wish before anything is written about it."""

from typing import Any

import pytest

from plugins.contracts import CallState, EffectClass
from plugins.dispatch import arguments_digest, is_intact
from plugins.ledger import LEDGER, REPEATABLE, SETTLED, UNCLAIMED
from plugins.policy import VERSION, Decision, decide
from tests.unit.plugins.dispatch_kit import ActingTool, door, request


def test_an_unknown_tool_is_refused_with_the_ones_there_are() -> None:
    tools = door(ActingTool(name="b"), ActingTool(name="a"))
    (call,) = tools.plan([request("c")])

    assert call.state is CallState.FAILED
    assert call.settlement is not None
    assert call.settlement.is_error
    assert call.settlement.text == "There is no tool 'c' here. Available: a, b."
    assert (call.spec_digest, call.attempt, call.decision) == ("", 0, None)


def test_a_door_without_tools_says_so() -> None:
    (call,) = door().plan([request("c")])

    assert call.settlement is not None
    assert call.settlement.text == "There is no tool 'c' here. Available: none."


def test_arguments_that_are_no_object_are_refused_with_what_came() -> None:
    tool = ActingTool()
    (call,) = door(tool).plan([request(raw='{"n": ')])

    assert call.state is CallState.FAILED
    assert call.settlement is not None
    assert call.settlement.text == (
        "The arguments of act are not a JSON object. Call it again with valid JSON. "
        "Received: '{\"n\": '"
    )
    assert call.arguments is None
    assert tool.contexts == []


def test_arguments_outside_the_schema_are_refused_place_by_place() -> None:
    (call,) = door(ActingTool()).plan([request(arguments={"n": "x", "note": 1})])

    assert call.state is CallState.FAILED
    assert call.settlement is not None
    assert call.settlement.text == (
        "The arguments of act do not fit its schema: n: 'x' is not of type 'number'; "
        "note: 1 is not of type 'string'"
    )


def test_at_most_five_complaints_are_told() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "number"}}
    wrong = {f"p{number}": "x" for number in range(9)}
    (call,) = door(ActingTool(schema=schema)).plan([request(arguments=wrong)])

    assert call.settlement is not None
    assert call.settlement.text.count("is not of type") == 5


def test_a_schema_that_cannot_be_applied_refuses_instead_of_breaking() -> None:
    schema = {"type": "object", "properties": {"n": {"$ref": "https://schemas.invalid/n"}}}
    (call,) = door(ActingTool(schema=schema)).plan([request(arguments={"n": 1})])

    assert call.state is CallState.FAILED
    assert call.settlement is not None
    assert "arguments: cannot be checked (" in call.settlement.text


def test_a_privileged_tool_is_denied_by_the_policy() -> None:
    tool = ActingTool(privileged=True)
    (call,) = door(tool).plan([request()])

    assert call.state is CallState.DENIED
    assert call.settlement is not None
    assert call.settlement.is_error
    assert call.settlement.text.startswith(
        "The tool act is privileged and this workspace has no policy"
    )
    assert call.decision == {
        "is_allowed": False,
        "rule": "privileged-needs-approval",
        "reason": call.settlement.text,
        "version": VERSION,
    }
    assert tool.contexts == []


@pytest.mark.parametrize(
    ("effect", "state", "attempt"),
    [
        (EffectClass.READ, CallState.DISPATCHED, 1),
        (EffectClass.IDEMPOTENT, CallState.DISPATCHED, 1),
        (EffectClass.KEYED, CallState.PLANNED, 0),
        (EffectClass.IRREVERSIBLE, CallState.PLANNED, 0),
    ],
)
def test_only_what_may_be_repeated_skips_the_claim(
    effect: EffectClass, state: CallState, attempt: int
) -> None:
    (call,) = door(ActingTool(effect)).plan([request()])

    assert (call.state, call.attempt, call.effect) == (state, attempt, effect)
    assert call.decision == {
        "is_allowed": True,
        "rule": f"unprivileged-{effect.value}",
        "reason": "",
        "version": VERSION,
    }


def test_calls_of_one_answer_are_judged_each() -> None:
    calls = door(ActingTool()).plan(
        [request(index=0), request("other", index=1), request(arguments={"n": 2}, index=2)]
    )

    assert [call.request.index for call in calls] == [0, 1, 2]
    assert [call.settlement is None for call in calls] == [True, False, True]
    assert len({call.id for call in calls}) == 3


def test_a_secret_in_the_arguments_is_not_what_the_ledger_keeps() -> None:
    secret = "sk-abcdefghijklmnopqrstuvwxyz"
    (call,) = door(ActingTool()).plan([request(arguments={"note": f"use {secret}"})])

    assert call.arguments == {"note": "use [redacted]"}
    assert call.request.arguments == {"note": f"use {secret}"}
    assert is_intact(call)


@pytest.mark.parametrize(
    ("sent", "read_back"),
    [
        ({"n": 1e22}, {"n": 10000000000000000000000}),
        ({"n": 1e300}, {"n": 10**300}),
        ({"n": [{"m": 100.0}]}, {"n": [{"m": 100}]}),
        ({"n": -0.0}, {"n": 0.0}),
        ({"n": 1.2345678901234568e18}, {"n": 1234567890123456800}),
        ({"b": 1, "a": None}, {"a": None, "b": 1}),
    ],
)
def test_a_digest_survives_the_database(sent: dict[str, Any], read_back: dict[str, Any]) -> None:
    assert arguments_digest(sent) == arguments_digest(read_back)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"n": 9007199254740993}, {"n": 9007199254740992}),
        ({"n": 1}, {"n": True}),
        ({"n": 1}, {"n": "1"}),
        ({"n": 0.1}, {"n": 0.10000000000000002}),
        (None, {}),
    ],
)
def test_different_arguments_have_different_digests(
    one: dict[str, Any] | None, other: dict[str, Any] | None
) -> None:
    assert arguments_digest(one) != arguments_digest(other)


def test_the_ledger_settles_where_nothing_follows_but_undoing() -> None:
    ends = {state for state in CallState if not LEDGER.edges[state] - {CallState.COMPENSATED}}

    assert ends == SETTLED
    assert UNCLAIMED < REPEATABLE < frozenset(EffectClass)


def test_the_policy_names_the_rule_that_decided() -> None:
    assert decide(ActingTool(EffectClass.KEYED).spec) == Decision(
        is_allowed=True, rule="unprivileged-keyed"
    )


def test_a_door_shows_what_its_tools_promise() -> None:
    first, second = ActingTool(name="a"), ActingTool(name="b")

    assert door(first, second).specs == (first.spec, second.spec)
