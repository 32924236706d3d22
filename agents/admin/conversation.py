"""A run's history as people read it: turns, with each tool call next to what came of it."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.admin.bounded import pointer_of
from agents.models import Message, Run
from agents.selectors.history import run_messages
from core.admin import duration, moment, no_sandbox, pill, pretty_json
from plugins.contracts import CallState
from plugins.selectors import call_is_unprotected, calls_between

_Response: TypeAlias = tuple[Mapping[str, Any], str]  # the part, and where it is had whole

FOLD_CHARACTERS: Final = 1_400
FOLD_LINES: Final = 24
INLINE_CHARACTERS: Final = 8_000  # what is longer is fetched when somebody asks for it
WINDOW: Final = 40  # messages at once

# States of a call that will change; the turn that asked for it is shown anew until then.
_OPEN: Final = frozenset(
    state.value
    for state in (
        CallState.PLANNED,
        CallState.WAITING,
        CallState.APPROVED,
        CallState.CLAIMED,
        CallState.DISPATCHED,
        CallState.IN_DOUBT,
    )
)

_TITLES: Final = {
    "system": _("System"),
    "user": _("Input"),
    "assistant": _("Agent"),
    "tool": _("Tool"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text; a long one shows its beginning and keeps the whole folded, or says where it is."""

    head: str
    whole: str = ""
    size: str = ""
    url: str = ""

    @property
    def is_folded(self) -> bool:
        return bool(self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument: a text as it is, anything else as JSON."""

    name: str
    value: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One entry of the effect ledger, or a call of a history this run only refers to.

    The second has neither `id` nor `url`.
    """

    key: str
    tool: str
    state: SafeString
    arguments: tuple[Argument, ...]
    url: str = ""
    took: str = ""
    result: Text | None = None
    is_error: bool = False
    reason: str = ""
    is_in_doubt: bool = False
    is_open: bool = False
    no_sandbox: SafeString | str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of text, reasoning or call is set."""

    text: Text | None = None
    reasoning: Text | None = None
    call: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    key: str
    position: int
    role: str
    title: str
    at: SafeString | str
    is_inherited: bool
    parts: tuple[Part, ...]

    @property
    def is_open(self) -> bool:
        return any(part.call is not None and part.call.is_open for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some turns of a history. Positions are those of messages.

    `settled` is the last position up to which nothing will change any more; `later` counts the
    messages behind the window.
    """

    turns: tuple[Turn, ...] = ()
    first: int = 0
    last: int = -1
    settled: int = -1
    later: int = 0

    @property
    def earlier(self) -> int:
        return self.first


def window_of(
    run: Run, *, before: int | None = None, after: int | None = None, around: int | None = None
) -> Window:
    """Return a window of a run's history: its end, or what lies before, after or around a place.

    The caller has checked that payloads may be seen.
    """
    history = run_messages(run)
    if around is not None:
        after = max(around - WINDOW // 2, 0) - 1
    if after is not None:
        found = list(history.filter(position__gt=after)[:WINDOW])
    else:
        rows = history.order_by("-position")
        rows = rows if before is None else rows.filter(position__lt=before)
        found = list(rows[:WINDOW])[::-1]
    if not found:
        end = -1 if after is None else after
        return Window(first=end + 1, last=end, settled=end)
    # The results of the last turn come behind it; those of a turn before the window are not its.
    more = list(history.filter(position__gt=found[-1].position)[: WINDOW + 1])
    answered = list(takewhile(lambda row: row.role == "tool", more)) if more else []
    shown = list(dropwhile(lambda row: row.role == "tool" and row.position, found + answered))
    first, last = found[0].position, (answered or found)[-1].position
    turns = turns_of(run, shown, calls_between(run.pk, first, last))
    opened = next((turn.position for turn in turns if turn.is_open), last + 1)
    later = max(run.message_count - 1 - last, len(more) - len(answered), 0)
    return Window(turns=turns, first=first, last=last, settled=opened - 1, later=later)


def folded(text: str, url: str = "") -> Text:
    """Return a text ready to be shown: whole when short, else its beginning and the whole.

    What is too long for a page is had from `url`.
    """
    lines = text.splitlines()
    if len(text) <= FOLD_CHARACTERS and len(lines) <= FOLD_LINES:
        return Text(head=text)
    head = "\n".join(lines[:FOLD_LINES])[:FOLD_CHARACTERS]
    size = gettext("%(n)s characters") % {"n": f"{len(text):,}".replace(",", "\u202f")}
    if url and len(text) > INLINE_CHARACTERS:
        return Text(head=head, size=size, url=url)
    return Text(head=head, whole=text, size=size)


def part_url(run_id: UUID, position: int, number: int) -> str:
    """Return where a part of a message is had whole."""
    return reverse("admin:agents_run_part", args=[run_id, position, number])


def call_url(run_id: UUID, call_id: UUID, *path: str) -> str:
    """Return where a call is told of; with a path, where a value of it is had whole."""
    url = reverse("admin:agents_run_call", args=[run_id, call_id])
    return f"{url}?{urlencode({'pointer': pointer_of(path)})}" if path else url


def turns_of(run: Run, messages: Sequence[Message], ledger: Sequence[Any]) -> tuple[Turn, ...]:
    """Return messages as turns. Results are shown with their calls, not as turns of their own."""
    places = {(row.position, row.index): row for row in ledger}
    responses: dict[str, deque[_Response]] = defaultdict(deque)
    asked: set[str] = set()
    for message in messages:
        for number, part in enumerate(message.parts):
            if part.get("type") == "tool_call_response":
                url = part_url(run.pk, message.position, number)
                responses[part["id"]].append((part, url))
            elif part.get("type") == "tool_call":
                asked.add(part["id"])
    turns = (_turn(run, message, places, responses, asked) for message in messages)
    return tuple(turn for turn in turns if turn.parts)


def _turn(
    run: Run,
    message: Message,
    places: Mapping[tuple[int, int], Any],
    responses: Mapping[str, deque[_Response]],
    asked: set[str],
) -> Turn:
    parts: list[Part] = []
    index = 0
    for number, part in enumerate(message.parts):
        kind = part.get("type")
        url = part_url(run.pk, message.position, number)
        if kind == "text" and part.get("content"):
            parts.append(Part(text=folded(part["content"], url)))
        elif kind == "reasoning" and part.get("content"):
            parts.append(Part(reasoning=folded(part["content"], url)))
        elif kind == "tool_call":
            row = places.get((message.position, index)) if message.run_id == run.pk else None
            found = responses.get(part["id"])
            response = found.popleft() if found else None
            key = f"call-{message.position}-{index}"
            call = (
                _inherited_call(key, part, response, url) if row is None else _ledger_call(key, row)
            )
            parts.append(Part(call=call))
            index += 1
        elif kind == "tool_call_response" and part["id"] not in asked:
            parts.append(Part(text=folded(part.get("result", ""), url)))
    return Turn(
        key=f"turn-{message.position}",
        position=message.position,
        role=message.role,
        title=str(_TITLES.get(message.role, message.role)),
        at=moment(message.created_at),
        is_inherited=message.run_id != run.pk,
        parts=tuple(parts),
    )


def _inherited_call(
    key: str, part: Mapping[str, Any], response: _Response | None, url: str
) -> Call:
    """Return a call as the messages tell it; its entry in the ledger is another run's."""
    arguments = _arguments(
        part.get("arguments"),
        lambda name: f"{url}?{urlencode({'name': name})}",
        part.get("raw_arguments", ""),
    )
    if response is None:
        return Call(key=key, tool=part["name"], state=pill("planned"), arguments=arguments)
    answer, result_url = response
    is_error = bool(answer.get("is_error"))
    return Call(
        key=key,
        tool=part["name"],
        state=pill("failed" if is_error else "committed"),
        arguments=arguments,
        result=folded(answer.get("result", ""), result_url),
        is_error=is_error,
    )


def _ledger_call(key: str, row: Any) -> Call:
    took = ""
    if row.dispatched_at and row.settled_at:
        took = duration((row.settled_at - row.dispatched_at).total_seconds())
    result_url = call_url(row.run_id, row.pk, "result")
    return Call(
        key=key,
        tool=row.tool,
        state=pill(row.state),
        arguments=_arguments(
            row.arguments, lambda name: call_url(row.run_id, row.pk, "arguments", name)
        ),
        url=reverse("admin:plugins_toolcall_change", args=[row.pk]),
        took=took,
        result=folded(row.result, result_url) if row.result else None,
        is_error=row.is_error,
        reason=row.reason,
        is_in_doubt=row.state == CallState.IN_DOUBT.value,
        is_open=row.state in _OPEN,
        no_sandbox=no_sandbox() if call_is_unprotected(row) else "",
        id=str(row.pk),
    )


def _arguments(given: Any, url_of: Callable[[str], str], raw: str = "") -> tuple[Argument, ...]:
    if isinstance(given, dict):
        return tuple(
            Argument(
                name=name,
                value=folded(value if isinstance(value, str) else pretty_json(value), url_of(name)),
            )
            for name, value in given.items()
        )
    return (Argument(name="not JSON", value=folded(raw)),) if raw else ()
