"""What a model may answer to hurt: nothing of it breaks the engine or the ledger."""

from typing import Any

import pytest

from agents.contracts import Message, Role, ToolCallPart
from agents.engine.history import redacted
from agents.tools.registry import BUILTIN_TOOLS
from plugins.contracts import CallState
from plugins.dispatch import BoundTool, CallRequest, Door


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _planned(arguments: dict[str, Any]) -> Any:
    message = Message(role=Role.ASSISTANT, parts=(ToolCallPart("c", "echo", arguments),))
    (call,) = redacted(message).tool_calls
    door = Door({"echo": BoundTool(BUILTIN_TOOLS["echo"])})
    (planned,) = door.plan(
        [
            CallRequest(
                index=0,
                provider_call_id=call.id,
                tool=call.name,
                arguments=call.arguments,
                raw_arguments=call.raw_arguments,
            )
        ]
    )
    return planned


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"text": _nested(64)}, "(nested deeper than 64 levels)"),
        ({"text": _nested(50_000)}, "(nested deeper than 64 levels)"),
        ({"text": float("inf")}, "(a number that is out of range)"),
        ({"text": float("nan")}, "(a number that is out of range)"),
    ],
)
def test_arguments_nobody_can_keep_are_refused_with_a_sentence(
    arguments: dict[str, Any], told: str
) -> None:
    planned = _planned(arguments)

    assert planned.state is CallState.FAILED
    assert planned.arguments is None
    assert planned.settlement.text.endswith(f"Received: '{told}'")


def test_arguments_as_deep_as_allowed_are_judged_by_the_schema() -> None:
    planned = _planned({"text": _nested(63)})

    assert "do not fit its schema: text: [[[" in planned.settlement.text


def test_half_characters_and_nul_are_made_storable_before_the_door() -> None:
    planned = _planned({"text": "a\x00b\ud800"})

    assert planned.settlement is None
    assert planned.arguments == {"text": "a\ufffdb\ufffd"}
