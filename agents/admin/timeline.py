"""What an event of a run's trace says in one line, and its payload."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from django.utils.translation import gettext, ngettext

from agents.models import Run
from core.admin import count, duration
from core.errors import NotFoundError
from governance.contracts import Actor
from observability.contracts import EventKind
from observability.cursors import Topic
from observability.selectors.events import events_list

GIST_CHARACTERS: Final = 160


def payload_of(run: Run, actor: Actor, sequence: int) -> tuple[str, Any]:
    """Return the gist and the payload of one event; both empty where payloads are hidden.

    Raises:
        NotFoundError: The run has no such event.
    """
    topic = Topic(run.workspace_id, run.pk)
    if 0 < sequence <= run.head_sequence:
        page = events_list(actor, topic, after=topic.cursor((sequence - 1, 0)), limit=1)
        if page.events and page.events[0].sequence == sequence:
            event = page.events[0]
            payload = {} if event.payload is None else msgspec.json.decode(event.payload)
            return gist_of(event.kind, payload), payload
    raise NotFoundError(f"The run has no event {sequence}.", remedy="List its events.")


def gist_of(kind: str, payload: Mapping[str, Any]) -> str:
    """Return one line that says what an event is about. For whoever may see payloads."""
    if not payload:
        return ""
    tell = _TELL.get(kind)
    if tell is None:
        tell = _tool if kind.startswith("tool.") else _rest
    return tell(payload)[:GIST_CHARACTERS]


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
                ngettext("%(n)s token", "%(n)s tokens", tokens) % {"n": count(tokens)}
                if tokens
                else "",
                duration(payload.get("duration_seconds", 0.0)),
                gettext("asks for %(asked)s") % {"asked": asked}
                if asked
                else " ".join(payload.get("text", "").split())[:120],
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
                gettext("by %(by)s") % {"by": payload["by"]} if payload.get("by") else "",
                duration(took) if took else "",
                payload.get("reason"),
            ),
        )
    )


def _control(payload: Mapping[str, Any]) -> str:
    return gettext("%(by)s asked to %(control)s") % {
        "by": payload.get("by", "somebody"),
        "control": payload.get("control", gettext("change it")),
    }


def _created(payload: Mapping[str, Any]) -> str:
    return gettext("for %(agent)s") % {"agent": payload.get("agent", "")}


def _rest(payload: Mapping[str, Any]) -> str:
    plain = (f"{name}: {value}" for name, value in payload.items() if not isinstance(value, dict))
    return " · ".join(plain)


_TELL: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    EventKind.RUN_CREATED.value: _created,
    EventKind.RUN_STATE.value: _state,
    EventKind.RUN_CONTROL.value: _control,
    EventKind.STEP_MODEL.value: _model,
}
