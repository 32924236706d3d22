"""A run's history as people read it: turns, with each tool call next to what came of it."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse
from django.utils.safestring import SafeString

from agents.models import Message, Run
from core.admin import duration, moment, no_sandbox, pill, pretty_json
from plugins.contracts import CallState
from plugins.selectors import call_is_unprotected

FOLD_CHARACTERS: Final = 1_400
FOLD_LINES: Final = 24
SHOWN_MAX_CHARACTERS: Final = 200_000

_TITLES: Final = {"system": "System", "user": "Input", "assistant": "Agent", "tool": "Tool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text; a long one shows its beginning and keeps the whole folded."""

    head: str
    whole: str = ""
    size: str = ""

    @property
    def is_folded(self) -> bool:
        return bool(self.whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument: a text as it is, anything else as JSON."""

    name: str
    value: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One entry of the effect ledger, or a call of a history this run only refers to."""

    key: str
    tool: str
    state: SafeString
    arguments: tuple[Argument, ...]
    url: str = ""
    effect: str = ""
    attempt: int = 0
    at: SafeString | str = ""
    took: str = ""
    result: Text | None = None
    is_error: bool = False
    reason: str = ""
    is_in_doubt: bool = False
    no_sandbox: SafeString | str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of text, reasoning or call is set."""

    text: Text | None = None
    reasoning: Text | None = None
    call: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    key: str
    role: str
    title: str
    at: SafeString | str
    is_inherited: bool
    parts: tuple[Part, ...]


def folded(text: str) -> Text:
    """Return a text ready to be shown: whole when short, else its beginning and the whole."""
    lines = text.splitlines()
    if len(text) <= FOLD_CHARACTERS and len(lines) <= FOLD_LINES:
        return Text(head=text)
    head = "\n".join(lines[:FOLD_LINES])[:FOLD_CHARACTERS]
    size = f"{len(text):,} characters".replace(",", "\u202f")
    return Text(head=head, whole=text[:SHOWN_MAX_CHARACTERS], size=size)


def calls_of(ledger: Iterable[Any]) -> tuple[Call, ...]:
    """Return the ledger entries of a run, in the order they were asked for."""
    return tuple(_ledger_call(row) for row in ledger)


def turns_of(run: Run, messages: Sequence[Message], ledger: Sequence[Any]) -> tuple[Turn, ...]:
    """Return messages as turns. Results are shown with their calls, not as turns of their own."""
    places = {(row.position, row.index): row for row in ledger}
    responses: dict[str, deque[Mapping[str, Any]]] = defaultdict(deque)
    asked: set[str] = set()
    for message in messages:
        for part in message.parts:
            if part.get("type") == "tool_call_response":
                responses[part["id"]].append(part)
            elif part.get("type") == "tool_call":
                asked.add(part["id"])
    turns = (_turn(run, message, places, responses, asked) for message in messages)
    return tuple(turn for turn in turns if turn.parts)


def _turn(
    run: Run,
    message: Message,
    places: Mapping[tuple[int, int], Any],
    responses: Mapping[str, deque[Mapping[str, Any]]],
    asked: set[str],
) -> Turn:
    parts: list[Part] = []
    index = 0
    for part in message.parts:
        kind = part.get("type")
        if kind == "text" and part.get("content"):
            parts.append(Part(text=folded(part["content"])))
        elif kind == "reasoning" and part.get("content"):
            parts.append(Part(reasoning=folded(part["content"])))
        elif kind == "tool_call":
            row = places.get((message.position, index)) if message.run_id == run.pk else None
            found = responses.get(part["id"])
            response = found.popleft() if found else None
            key = f"call-{message.position}-{index}"
            parts.append(Part(call=_asked_call(key, part, row, response)))
            index += 1
        elif kind == "tool_call_response" and part["id"] not in asked:
            parts.append(Part(text=folded(part.get("result", ""))))
    return Turn(
        key=f"turn-{message.position}",
        role=message.role,
        title=_TITLES.get(message.role, message.role),
        at=moment(message.created_at),
        is_inherited=message.run_id != run.pk,
        parts=tuple(parts),
    )


def _asked_call(
    key: str, part: Mapping[str, Any], row: Any | None, response: Mapping[str, Any] | None
) -> Call:
    if row is not None:
        return _ledger_call(row, key=key)
    arguments = _arguments(part.get("arguments"), part.get("raw_arguments", ""))
    if response is None:
        return Call(key=key, tool=part["name"], state=pill("planned"), arguments=arguments)
    is_error = bool(response.get("is_error"))
    return Call(
        key=key,
        tool=part["name"],
        state=pill("failed" if is_error else "committed"),
        arguments=arguments,
        result=folded(response.get("result", "")),
        is_error=is_error,
    )


def _ledger_call(row: Any, *, key: str = "") -> Call:
    took = ""
    if row.dispatched_at and row.settled_at:
        took = duration((row.settled_at - row.dispatched_at).total_seconds())
    return Call(
        key=key or f"ledger-{row.position}-{row.index}",
        tool=row.tool,
        state=pill(row.state),
        arguments=_arguments(row.arguments),
        url=reverse("admin:plugins_toolcall_change", args=[row.pk]),
        effect=row.effect,
        attempt=row.attempt,
        at=moment(row.planned_at),
        took=took,
        result=folded(row.result) if row.result else None,
        is_error=row.is_error,
        reason=row.reason,
        is_in_doubt=row.state == CallState.IN_DOUBT.value,
        no_sandbox=no_sandbox() if call_is_unprotected(row) else "",
    )


def _arguments(given: Any, raw: str = "") -> tuple[Argument, ...]:
    if isinstance(given, dict):
        return tuple(
            Argument(
                name=name, value=folded(value if isinstance(value, str) else pretty_json(value))
            )
            for name, value in given.items()
        )
    return (Argument(name="not JSON", value=folded(raw)),) if raw else ()


def last_text(turns: Sequence[Turn]) -> str:
    """Return the last thing the agent said, whole."""
    for turn in reversed(turns):
        if turn.role == "assistant":
            texts = [part.text for part in turn.parts if part.text]
            return (texts[-1].whole or texts[-1].head) if texts else ""
    return ""
