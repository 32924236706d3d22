"""What a stand-in vendor answers, and how it misbehaves: read from JSON or YAML.

    {"answers": [
      {"when": {"contains": "weather", "turn": 0, "last_tool": "", "model": ""},
       "text": "…", "reasoning": "…",
       "tool_calls": [{"name": "view", "arguments": {"path": "a.txt"}} , {"name": "x",
                       "raw_arguments": "{broken"}],
       "finish": "stop|tool_calls|length|content_filter|continue",
       "usage": {"input": 10, "output": 5, "cached": 2, "written": 0, "reasoning": 0},
       "chunk_chars": 8, "chunk_ms": 0,
       "is_held": false,
       "style": ["whole_arguments", "omit_ids", …],
       "faults": [{"kind": "status", "status": 429, "retry_after": "1", "times": 1}, …]}]}

An answer that is held is asked for, noted in the log, and given once the server is told to
(`VendorServer.release`; SIGUSR1 for a process).

The first answer whose `when` holds is given; answers without `when` are given by turn, the number
of assistant messages since the last user text. Faults come in their order, each `times` often
(0: for ever), before the answer itself is given.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FAULTS = frozenset(
    # instead of an answer
    {"status", "hang", "html", "redirect", "echo_key", "reset", "plain_json_error"}
    # in the middle of one, after `after_frames` frames
    | {"malformed_chunk", "cut", "truncate", "hang_midway", "error_in_stream", "endless_line"}
    # the whole answer, byte by byte
    | {"slow_drip"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    kind: str
    times: int = 1
    status: int = 500
    message: str = "the server had a bad day"
    type: str = ""
    retry_after: str = ""
    after_frames: int = 2
    ms: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"no fault {self.kind!r}; known: {', '.join(sorted(FAULTS))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    when: Mapping[str, Any] | None = None
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    chunk_chars: int = 8
    chunk_ms: float = 0.0
    is_held: bool = False
    style: frozenset[str] = frozenset()
    faults: tuple[Fault, ...] = ()

    @property
    def reason(self) -> str:
        return self.finish or ("tool_calls" if self.tool_calls else "stop")

    def tokens(self, kind: str, default: int) -> int:
        return self.usage.get(kind, default)

    def pieces(self, text: str) -> list[str]:
        size = max(1, self.chunk_chars)
        return [text[start : start + size] for start in range(0, len(text), size)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a request says, whatever the vendor's way of saying it."""

    model: str
    said: str  # the last user text
    turn: int
    last_tool: str
    position: int  # messages in the history, which makes call ids unique in a conversation
    is_streaming: bool
    wants_usage: bool = True


class Scenario:
    """The answers, and how many of their faults have happened already."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self._happened: dict[int, int] = {}

    @classmethod
    def of(cls, *answers: Mapping[str, Any]) -> "Scenario":
        return cls([_answer(entry) for entry in answers])

    @classmethod
    def load(cls, path: Path) -> "Scenario":
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return cls.of(*data["answers"])

    def pick(self, ask: Ask) -> tuple[Answer | None, Fault | None]:
        """Return the answer for `ask`, and the fault that is due instead of or within it."""
        number = self._number(ask)
        if number is None:
            return None, None
        answer = self._answers[number]
        happened = self._happened.get(number, 0)
        self._happened[number] = happened + 1
        for fault in answer.faults:
            if fault.times == 0 or happened < fault.times:
                return answer, fault
            happened -= fault.times
        return answer, None

    def _number(self, ask: Ask) -> int | None:
        ordered: list[int] = []
        for number, answer in enumerate(self._answers):
            if answer.when is None:
                ordered.append(number)
            elif _holds(answer.when, ask):
                return number
        return ordered[ask.turn] if ask.turn < len(ordered) else None


def _holds(when: Mapping[str, Any], ask: Ask) -> bool:
    found = {
        "contains": str(when.get("contains", "")).casefold() in ask.said.casefold(),
        "turn": when.get("turn") == ask.turn,
        "last_tool": when.get("last_tool") == ask.last_tool,
        "model": when.get("model") == ask.model,
    }
    return all(found[key] for key in when)


def _answer(entry: Mapping[str, Any]) -> Answer:
    fields = dict(entry)
    fields["tool_calls"] = tuple(fields.get("tool_calls", ()))
    fields["style"] = frozenset(fields.get("style", ()))
    fields["faults"] = tuple(Fault(**fault) for fault in fields.get("faults", ()))
    return Answer(**fields)
