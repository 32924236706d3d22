"""A run's trace as a table: when, what, and one line that says the gist."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from agents.models import Run
from core.admin import count, duration, pretty_json
from governance.contracts import Actor
from observability.contracts import EventKind
from observability.cursors import Topic
from observability.selectors.events import events_list

SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One event. `after` is how long after the run was created it happened."""

    sequence: int
    kind: str
    group: str
    after: str
    exact: str
    gist: str
    payload: str


def moments_of(run: Run, actor: Actor) -> tuple[Moment, ...]:
    """Return the last events of a run the actor may watch, oldest first."""
    topic = Topic(run.workspace_id, run.pk)
    start = max(run.head_sequence - SHOWN, 0)
    page = events_list(actor, topic, after=topic.cursor((start, 0)), limit=SHOWN)
    return tuple(_moment(run, event) for event in page.events)


def _moment(run: Run, event: Any) -> Moment:
    payload = {} if event.payload is None else msgspec.json.decode(event.payload)
    seconds = (event.at - run.created_at).total_seconds()
    return Moment(
        sequence=event.sequence,
        kind=event.kind,
        group=event.kind.partition(".")[0],
        after=f"+{duration(max(seconds, 0))}",
        exact=event.at.isoformat(),
        gist=_gist(event.kind, payload),
        payload=pretty_json(payload) if payload else "",
    )


def _gist(kind: str, payload: Mapping[str, Any]) -> str:
    if not payload:
        return ""
    tell = _TELL.get(kind)
    if tell is None:
        tell = _tool if kind.startswith("tool.") else _rest
    return tell(payload)[:240]


def _state(payload: Mapping[str, Any]) -> str:
    before, after = payload.get("before", ""), payload.get("state", "")
    moved = f"{before} → {after}" if before else str(after)
    return " · ".join(filter(None, (moved, payload.get("wait_kind"), payload.get("reason"))))


def _model(payload: Mapping[str, Any]) -> str:
    usage = payload.get("usage") or {}
    tokens = usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
    asked = ", ".join(payload.get("tools", ()))
    return " · ".join(
        filter(
            None,
            (
                str(payload.get("model", "")),
                f"{count(tokens)} tokens" if tokens else "",
                duration(payload.get("duration_seconds", 0.0)),
                f"asks for {asked}" if asked else " ".join(payload.get("text", "").split())[:120],
            ),
        )
    )


def _tool(payload: Mapping[str, Any]) -> str:
    took = payload.get("duration_seconds")
    return " · ".join(
        filter(
            None,
            (
                f"{payload.get('tool', '')} {payload.get('state', '')}".strip(),
                f"by {payload['by']}" if payload.get("by") else "",
                duration(took) if took else "",
                payload.get("reason"),
            ),
        )
    )


def _control(payload: Mapping[str, Any]) -> str:
    return f"{payload.get('by', 'somebody')} asked to {payload.get('control', 'change it')}"


def _created(payload: Mapping[str, Any]) -> str:
    return f"for {payload.get('agent', '')}"


def _rest(payload: Mapping[str, Any]) -> str:
    plain = (f"{name}: {value}" for name, value in payload.items() if not isinstance(value, dict))
    return " · ".join(plain)


_TELL: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    EventKind.RUN_CREATED.value: _created,
    EventKind.RUN_STATE.value: _state,
    EventKind.RUN_CONTROL.value: _control,
    EventKind.STEP_MODEL.value: _model,
}
