"""The child process of regular expressions, seen from inside and outside."""

import io
import json
import re
import struct
import sys
from typing import Any

import pytest

from agents.tools import matching_child
from agents.tools.matching import matcher
from plugins.errors import InvalidArgumentsError


def converse(monkeypatch: pytest.MonkeyPatch, *questions: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the child's main loop in this process on some questions."""
    data = [json.dumps(question).encode() for question in questions]
    sent = io.BytesIO(b"".join(struct.pack(">I", len(item)) + item for item in data))
    received = io.BytesIO()
    monkeypatch.setattr(matching_child, "limit", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(sent))
    output = io.TextIOWrapper(received)
    monkeypatch.setattr(sys, "stdout", output)
    matching_child.main()
    monkeypatch.undo()
    rest, answers = received.getvalue(), []
    while rest:
        length = struct.unpack(">I", rest[:4])[0]
        answers.append(json.loads(rest[4 : 4 + length]))
        rest = rest[4 + length :]
    return answers


def test_child_answers_each_question(monkeypatch: pytest.MonkeyPatch) -> None:
    assert converse(
        monkeypatch,
        {"do": "compile", "pattern": "a(b)?", "literal": False, "ignore_case": True},
        {"do": "lines", "text": "x\nAB\na"},
        {"do": "replace", "text": "ab a", "replacement": r"<\1>"},
        {"do": "replace", "text": "ab", "replacement": r"\9"},
        {"do": "compile", "pattern": "a(", "literal": True, "ignore_case": False},
        {"do": "lines", "text": "a(\na"},
        {"do": "compile", "pattern": "a(", "literal": False, "ignore_case": False},
    ) == [
        {},
        {"lines": [1, 2]},
        {"text": "<b> <>", "count": 2},
        {
            "error": "The regular expression or its replacement is not valid: "
            "invalid group reference 9 at position 1."
        },
        {},
        {"lines": [0]},
        {
            "error": "The regular expression or its replacement is not valid: "
            "missing ), unterminated subpattern at position 1."
        },
    ]


def test_child_gives_up_on_a_result_that_is_too_long() -> None:
    with pytest.raises(MemoryError):
        matching_child.replaced(re.compile("x"), "x" * 20, "y" * 1_000_000)


@pytest.mark.parametrize("pattern", ["word", r"w\w+d"])
def test_direct_and_child_search_agree(pattern: str) -> None:
    with matcher(pattern, literal=False, ignore_case=False) as found:
        assert found.lines("a\nmy word\n\nwords") == [1, 3]
        assert found.replace("word sword", "x") == ("x sx", 2)


def test_child_is_ended_when_the_block_is_left() -> None:
    with pytest.raises(InvalidArgumentsError), matcher("(", literal=False, ignore_case=False):
        pytest.fail("compiled")
