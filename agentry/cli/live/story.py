"""What a viewer is told of a run and its children: a fold over events, without any terminal.

Each event may finish lines, which never change again; what is still open (streaming text, pending
calls, figures) is kept for each run and shown beneath them while it lasts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

from agentry.cli.output import compact, shown
from agentry.cli.terminal import one_line, plain
from agentry.client.records import PERSON_WAITS, Delta, Event, Run

_ARGUMENTS_WIDTH = 160
_OUTCOME_WIDTH = 200


class Mark(Enum):
    """What a line is about; decides its sign and colour."""

    TEXT = ("", "")
    START = ("●", "bold")
    CALL = ("→", "cyan")
    GOOD = ("✓", "green")
    BAD = ("✗", "red")
    WAIT = ("…", "yellow")
    NOTE = ("·", "dim")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    depth: int
    agent: str
    mark: Mark
    text: str


@dataclass(slots=True)
class View:
    """One run as far as it has been told."""

    id: str
    agent: str
    depth: int
    state: str
    wait_kind: str = ""
    reason: str = ""
    output: str = ""
    step: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_is_partial: bool = False
    partial: str = ""
    last_text: str = ""
    page: str = ""
    pending: dict[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled", "yielded")

    def line(self, mark: Mark, text: str) -> Line:
        return Line(depth=self.depth, agent=self.agent, mark=mark, text=text)


class Story:
    """All runs of one tree, in the order they appeared. `site` is where their pages are."""

    def __init__(self, site: str = "") -> None:
        self._site = site
        self.views: dict[str, View] = {}

    def begin(self, run: Run, *, depth: int) -> list[Line]:
        view = View(id=run.id, agent=plain(run.agent), depth=depth, state=run.state)
        if self._site:
            view.page = f"{self._site}/admin/agents/run/{run.id}/change/"
        self.views[run.id] = view
        task = one_line(run.input or "", width=_ARGUMENTS_WIDTH)
        return [view.line(Mark.START, f"{view.agent}: {task}" if task else view.agent)]

    def see(self, run_id: str, item: Event | Delta) -> list[Line]:
        view = self.views[run_id]
        if isinstance(item, Delta):
            if item.channel == "text":
                view.partial += item.text
            return []
        tell = _TELLERS.get(item.kind)
        return tell(view, item.payload or {}) if tell else []

    def end(self, run: Run) -> list[Line]:
        """Take the figures from the finished run and say how it ended."""
        view = self.views[run.id]
        view.state, view.wait_kind, view.step = run.state, run.wait_kind, run.iteration
        view.input_tokens, view.output_tokens = run.usage.input_tokens, run.usage.output_tokens
        view.cost_usd, view.cost_is_partial = run.cost_usd, run.cost_is_partial
        view.reason, view.output = plain(run.reason or ""), plain(run.output or "")
        view.partial, view.pending = "", {}
        lines = []
        if view.output and view.output.strip() != view.last_text.strip():
            lines.append(view.line(Mark.TEXT, view.output))
        mark = {"succeeded": Mark.GOOD, "yielded": Mark.WAIT}.get(view.state, Mark.BAD)
        reason = f": {view.reason}" if view.reason and mark is not Mark.GOOD else ""
        return [*lines, view.line(mark, f"{view.state}{reason} ({figures(view)})")]


def figures(view: View) -> str:
    parts = [f"{view.step} step{'' if view.step == 1 else 's'}"]
    if view.input_tokens or view.output_tokens:
        parts.append(f"{view.input_tokens:,} in, {view.output_tokens:,} out")
    if view.cost_usd or view.cost_is_partial:
        parts.append(("≥ " if view.cost_is_partial else "") + f"${view.cost_usd.normalize():f}")
    return " · ".join(parts)


def child_of(item: Event) -> str | None:
    """The id of the child run an event announces."""
    if item.kind != "run.child" or not item.payload:
        return None
    child = item.payload.get("run_id")
    return child if isinstance(child, str) else None


def _state(view: View, payload: Mapping[str, Any]) -> list[Line]:
    view.state = plain(payload.get("state", view.state))
    view.wait_kind = plain(payload.get("wait_kind", ""))
    reason = one_line(payload.get("reason", ""), width=_OUTCOME_WIDTH)
    if view.state in ("paused", "waiting") and view.wait_kind not in ("", "children"):
        lead = f"waits for {_WAITS.get(view.wait_kind, view.wait_kind)}"
        told = lead + (f": {reason}" if reason else "")
        if view.wait_kind in PERSON_WAITS:
            told = f"{told.rstrip('.')}; agentry runs why {view.id}"
        return [view.line(Mark.WAIT, told)]
    if view.state == "paused" and payload.get("error_code") in _HELD:
        look = f"agentry debug {view.id}" + (f" · {view.page}" if view.page else "")
        return [
            view.line(Mark.WAIT, f"held{f': {reason}' if reason else ''}"),
            view.line(Mark.WAIT, f"let it go: agentry step {view.id} · look: {look}"),
        ]
    if view.state == "paused":
        return [view.line(Mark.WAIT, f"paused; agentry runs resume {view.id}")]
    return []


_HELD = frozenset({"step", "breakpoint"})  # why a debugger pauses a run
_WAITS = {
    "approval": "an approval",
    "question": "an answer",
    "timer": "a timer",
    "budget": "its budget to be raised",
    "in_doubt": "somebody to say what became of a call",
    "turn": "its turn in the session",
}


def _step_started(view: View, payload: Mapping[str, Any]) -> list[Line]:
    view.partial = ""
    view.step = _whole(payload.get("step"), view.step + 1)
    return []


def _step_model(view: View, payload: Mapping[str, Any]) -> list[Line]:
    usage = payload.get("usage") or {}
    view.input_tokens += _whole(usage.get("input_tokens"), 0)
    view.output_tokens += _whole(usage.get("output_tokens"), 0)
    cost = _money(payload.get("cost_usd"))
    if cost is None:
        view.cost_is_partial = True
    else:
        view.cost_usd += cost
    text = _told_text(plain(view.partial), plain(payload.get("text", "")))
    view.partial = ""
    if not text.strip():
        return []
    view.last_text = text
    return [view.line(Mark.TEXT, text)]


def _told_text(streamed: str, preview: str) -> str:
    """The streamed text where it is whole; the event carries only the beginning of long texts."""
    beginning = preview.rstrip("… \n")
    whole = streamed.startswith(beginning) and len(streamed) >= len(beginning)
    return streamed if whole and streamed else preview


def _step_retry(view: View, payload: Mapping[str, Any]) -> list[Line]:
    view.partial = ""
    reason = payload.get("sentence") or "the model could not answer"
    return [view.line(Mark.NOTE, f"asks again: {one_line(reason, width=_OUTCOME_WIDTH)}")]


def _tool_planned(view: View, payload: Mapping[str, Any]) -> list[Line]:
    arguments = payload.get("arguments")
    told = f"{payload.get('tool', 'tool')} {compact(arguments) if arguments else ''}"
    text = one_line(told, width=_ARGUMENTS_WIDTH)
    view.pending[str(payload.get("call_id"))] = text
    return [view.line(Mark.CALL, text)]


def _tool_parked(view: View, payload: Mapping[str, Any]) -> list[Line]:
    wait = plain(payload.get("wait_kind", ""))
    if wait in ("", "children"):
        return []
    told = f"{plain(payload.get('tool', 'tool'))} waits for {_WAITS.get(wait, wait)}"
    return [view.line(Mark.WAIT, told)]


def _tool_settled(view: View, payload: Mapping[str, Any]) -> list[Line]:
    view.pending.pop(str(payload.get("call_id")), None)
    state = plain(payload.get("state", ""))
    good = state in ("committed", "compensated") and not payload.get("is_error")
    outcome = payload.get("reason") or payload.get("result") or ""
    seconds = payload.get("duration_seconds")
    took = f" ({seconds:.1f} s)" if isinstance(seconds, int | float) and seconds >= 0.1 else ""
    lead = f"{plain(payload.get('tool', 'tool'))}{took}"
    lead += "" if good or state in ("committed", "failed") else f" {state}"
    told = one_line(shown(outcome) if outcome else "", width=_OUTCOME_WIDTH)
    return [view.line(Mark.GOOD if good else Mark.BAD, f"{lead}: {told}" if told else lead)]


def _note(view: View, payload: Mapping[str, Any]) -> list[Line]:
    told = payload.get("sentence") or payload.get("text") or ""
    return [view.line(Mark.NOTE, one_line(told, width=_OUTCOME_WIDTH))] if told else []


def _control(view: View, payload: Mapping[str, Any]) -> list[Line]:
    asked, by = payload.get("control") or "a change", payload.get("by")
    return [view.line(Mark.NOTE, plain(f"{asked} asked for" + (f" by {by}" if by else "")))]


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _money(value: object) -> Decimal | None:
    try:
        return Decimal(str(value)) if value is not None else None
    except InvalidOperation:
        return None


_TELLERS = {
    "run.state": _state,
    "run.control": _control,
    "run.note": _note,
    "step.started": _step_started,
    "step.model": _step_model,
    "step.retry": _step_retry,
    "tool.planned": _tool_planned,
    "tool.parked": _tool_parked,
    "tool.settled": _tool_settled,
    "tool.resolved": _tool_settled,
}
