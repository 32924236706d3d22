"""The debugger on the page of a run: what it shows to one reader. Its buttons speak REST."""

from dataclasses import dataclass
from typing import Final

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.contracts import RunErrorCode
from agents.engine.debugging import BreakKind, Breakpoint, Next
from agents.models import Run
from agents.selectors.debugging import Debugger, debugger_of
from agents.transitions import LIVE
from core.admin import pill, pretty_json
from governance import access
from governance.contracts import Actor, Perm

_PREVIEW: Final = 240
_NEXT: Final = {
    Next.MODEL.value: _("its model is asked"),
    Next.TOOLS.value: _("tools are called"),
    Next.END.value: _("it ends with its last answer"),
}
_ROLES: Final = {"user": _("Message"), "tool": _("Result")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelCall:
    """A call that has no outcome yet."""

    key: str
    index: int
    tool: str
    state: SafeString
    arguments: str
    preview: str
    is_editable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelMessage:
    """A message that the model sees next."""

    position: int
    title: str
    text: str
    preview: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelBelow:
    url: str
    agent: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """`is_open`: there is more to show than the button that sets a debugger."""

    url: str
    version: int
    step: str
    scope: str
    points: tuple[Breakpoint, ...]
    is_open: bool
    is_held: bool
    is_paused: bool
    may_edit: bool
    can_add: bool
    title: str
    sentence: str
    next: str
    calls: tuple[PanelCall, ...]
    messages: tuple[PanelMessage, ...]
    below: tuple[PanelBelow, ...]
    last: str


def panel_of(run: Run, actor: Actor) -> Panel | None:
    """Return the debugger for whoever may steer the run; None for others, and when it has ended."""
    may_control = access.can(actor, Perm.RUN_CONTROL, run.workspace_id)
    if not may_control or run.state not in LIVE:
        return None
    found = debugger_of(run)
    is_readable = access.may_see_payload(actor, run.workspace_id)
    shows_next = found.is_paused and is_readable
    points = found.debug.breakpoints
    return Panel(
        url=f"{reverse('run', args=[run.workspace.name, run.pk])}/",
        version=found.version,
        step=found.debug.step.value,
        scope=found.debug.scope.value,
        points=points if is_readable else tuple(p for p in points if p.kind is not BreakKind.TEXT),
        is_open=found.is_set or found.is_held or found.is_paused or bool(found.held_below),
        is_held=found.is_held,
        is_paused=found.is_paused,
        may_edit=shows_next,
        can_add=found.can_add and is_readable,
        title=_title(found),
        sentence=run.reason if is_readable and found.is_held else "",
        next=str(_NEXT[found.next]) if found.is_paused else "",
        calls=_calls(found) if shows_next else (),
        messages=_messages(found) if shows_next else (),
        below=_below(found, actor) if found.held_below else (),
        last=f"{found.by} {found.deed}." if found.by else "",
    )


def _title(found: Debugger) -> str:
    if found.run.error_code == RunErrorCode.BREAKPOINT and found.is_held:
        return gettext("Held at a breakpoint")
    if found.is_held:
        return gettext("Held by step mode")
    if found.is_paused:
        return gettext("Paused")
    return gettext("Held below") if found.held_below else gettext("Under way")


def _calls(found: Debugger) -> tuple[PanelCall, ...]:
    return tuple(
        PanelCall(
            key=str(call.id or ""),
            index=call.index,
            tool=call.tool,
            state=pill(call.state),
            arguments=pretty_json(call.arguments),
            preview=_short(pretty_json(call.arguments)),
            is_editable=call.is_editable,
        )
        for call in found.standing.calls
    )


def _messages(found: Debugger) -> tuple[PanelMessage, ...]:
    return tuple(
        PanelMessage(
            position=message.position,
            title=str(_ROLES.get(message.role, message.role)),
            text=message.text,
            preview=_short(message.text),
        )
        for message in found.standing.messages
    )


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _PREVIEW else f"{flat[:_PREVIEW]}…"


def _below(found: Debugger, actor: Actor) -> tuple[PanelBelow, ...]:
    is_readable = access.may_see_payload(actor, found.run.workspace_id)
    return tuple(
        PanelBelow(
            url=reverse("admin:agents_run_change", args=[run.pk]),
            agent=run.agent_name,
            sentence=run.reason if is_readable else "held",
        )
        for run in found.held_below
    )
