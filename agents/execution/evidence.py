"""What an approver should know of a call: where its arguments come from, and what waits for it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import Message, Role
from agents.execution.claiming import history_of
from agents.models import Run
from agents.selectors.history import run_editors
from plugins.selectors import calls_of_runs
from plugins.services.asked import call_of

AROUND_CHARS = 60
LONG_CHARS = 120
MAX_VALUES = 100
MAX_PLACES = 3
MAX_PARENTS = 20
BY_THE_MODEL = "written by the model itself; no message or tool result of this run says it"
BY_A_PERSON = (
    "written by {by}, who changed the arguments, or by the model; no message or tool result of "
    "this run says it"
)


def call_evidence(call_id: UUID) -> dict[str, Any]:
    """Return `sources` (of each value, the places of the run's history that hold it) and `waits`.

    A value that stands nowhere but in the model's own words has `is_found` false. That is usual,
    and an approver wants to know it; `sentence` says either to people, on every surface. What
    people put there while the run stood still is told as theirs.
    """
    call = call_of(call_id)
    run = Run.objects.get(pk=call.run_id)
    history = history_of(run.pk, call.position)
    editors = run_editors(run)
    values = list(_values(call.arguments or {}))[:MAX_VALUES]
    writer = editors.get((call.position, call.index), "")
    return {
        "sources": [
            _source(path, text, history, editors=editors, writer=writer) for path, text in values
        ],
        "waits": run_waits(run)
        | {
            "beside": [
                {"call": str(row.pk), "tool": row.tool, "state": row.state}
                for _, row in calls_of_runs([run.pk])
                if row.position == call.position and row.pk != call.pk
            ],
        },
    }


def run_waits(run: Run) -> dict[str, Any]:
    """Return the run that waits and those above it."""
    return {
        "run": {"id": str(run.pk), "agent": run.agent_name, "state": run.state},
        "since": run.updated_at.isoformat(),
        "above": list(_above(run)),
        "beside": [],
    }


def _values(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value that can be looked for, as text, with its place."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _values(inner, f"{path}[{place}]")
    elif isinstance(value, str) and len(value.strip()) > 2:
        yield path, value.strip()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, str(value)


def _source(
    path: str,
    text: str,
    history: Sequence[Message],
    *,
    editors: Mapping[tuple[int, int | None], str],
    writer: str,
) -> dict[str, Any]:
    """Return where one value comes from; `writer` changed the arguments, if anybody did."""
    places = []
    for position, message in enumerate(history):
        if message.role is Role.ASSISTANT:
            continue  # what the model said it need not have from anywhere
        for kind, content in _contents(message):
            excerpt = _excerpt(content, text)
            if excerpt:
                places.append({"position": position, "kind": kind, "excerpt": excerpt})
    shown = places[-MAX_PLACES:]
    sentence = _told(shown, editors, writer)
    return {"path": path, "is_found": bool(places), "sentence": sentence, "places": shown}


def _told(
    places: Sequence[dict[str, Any]], editors: Mapping[tuple[int, int | None], str], writer: str
) -> str:
    if not places:
        return BY_A_PERSON.format(by=writer) if writer else BY_THE_MODEL
    found = []
    for each in places:
        by = editors.get((each["position"], None))
        whose = f", which {by} wrote while the run stood still" if by else ""
        found.append(f"the {each['kind']} at position {each['position']}{whose}")
    return f"from {'; '.join(found) if editors else ', '.join(found)}"


def _contents(message: Message) -> Iterator[tuple[str, str]]:
    for part in message.parts:
        match msgspec.to_builtins(part):
            case {"type": "tool_call_response", "result": str(text)}:
                yield "tool result", text
            case {"content": str(text)}:
                yield f"{message.role.value} message", text


def _excerpt(content: str, text: str) -> str:
    """Return the value with what stands around it; of a long one, its beginning will do."""
    wanted = text[:LONG_CHARS]
    begin = content.find(wanted)
    while begin >= 0 and wanted.isalnum() and _is_within_a_word(content, begin, len(wanted)):
        begin = content.find(wanted, begin + 1)
    if begin < 0:
        return ""
    end = begin + len(wanted)
    return content[max(0, begin - AROUND_CHARS) : end + AROUND_CHARS]


def _is_within_a_word(content: str, begin: int, length: int) -> bool:
    before = content[begin - 1 : begin] if begin else ""
    after = content[begin + length : begin + length + 1]
    return before.isalnum() or after.isalnum()


def _above(run: Run) -> Iterator[dict[str, str]]:
    """Yield the runs that wait for this one, the nearest first."""
    parent_id = run.parent_id
    for _ in range(MAX_PARENTS):
        if parent_id is None:
            return
        parent = Run.objects.get(pk=parent_id)
        yield {"id": str(parent.pk), "agent": parent.agent_name, "state": parent.state}
        parent_id = parent.parent_id
