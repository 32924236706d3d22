"""Everything the page of one run shows, gathered for one reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.admin.conversation import (
    Text,
    Window,
    folded,
    window_of,
)
from agents.admin.debugging import Panel, panel_of
from agents.admin.deeds import Deed, deeds_for
from agents.contracts import Control, RunState
from agents.models import Run, Worker
from agents.selectors.history import run_checkpoints, run_messages
from agents.selectors.why import Why, why
from agents.transitions import LIVE
from core import clock
from core.admin import NOTHING, count, duration, moment, money, no_sandbox, pill, row_link, told
from core.tracing.durable import trace_id
from governance import access
from governance.contracts import Actor, Perm
from plugins.selectors import calls_count, run_has_unprotected

SHOWN_FAMILY: Final = 60
SHOWN_OUTPUT: Final = 200_000  # characters; the whole is in the REST API
SHOWN_CHECKPOINTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """A run of the same tree."""

    url: str
    agent: str
    state: SafeString
    depth: int
    is_this: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    sequence: int
    messages: int
    phase: str
    iteration: int
    at: SafeString | str
    fork_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    run: Run
    state: SafeString
    is_live: bool
    is_readable: bool
    deeds: tuple[Deed, ...]
    debugger: Panel | None
    why: Why
    why_title: str
    facts: tuple[tuple[str, SafeString | str], ...]
    output: Text | None
    window: Window
    no_sandbox: SafeString | str
    count_calls: int
    count_checkpoints: int
    checkpoints: tuple[CheckpointRow, ...]
    family: tuple[Relative, ...]
    more_family: int
    may_fork: bool
    history_url: str
    api_path: str
    compare_url: str


def run_page(
    run: Run, actor: Actor, *, is_whole: bool = True, with_checkpoints: bool = True
) -> RunPage:
    """Gather the page. The caller has checked that the actor may see the run.

    A page that is open asks again for what changes, which is not `is_whole`: the conversation has
    an address of its own. Without sight of payloads the conversation and reasons stay empty.
    """
    is_readable = access.may_see_payload(actor, run.workspace_id)
    family, more_family = _family(run, actor)
    may_fork = access.can(actor, Perm.RUN_CONTROL, run.workspace_id) and access.can(
        actor, Perm.RUN_START, run.workspace_id
    )
    return RunPage(
        run=run,
        state=pill(run.state, label=_state_label(run)),
        is_live=run.state in LIVE,
        is_readable=is_readable,
        deeds=deeds_for(run, actor),
        debugger=panel_of(run, actor),
        why=why(run),
        why_title=_why_title(run),
        facts=_facts(run),
        output=_output(run) if is_readable else None,
        window=window_of(run) if is_readable and is_whole else Window(),
        no_sandbox=no_sandbox() if run_has_unprotected(run.pk) else "",
        count_calls=calls_count(run.pk),
        count_checkpoints=run_checkpoints(run).count(),
        checkpoints=_checkpoints(run) if with_checkpoints else (),
        family=family,
        more_family=more_family,
        may_fork=may_fork,
        history_url=reverse("admin:agents_run_history", args=[run.pk]),
        api_path=reverse("run", args=[run.workspace.name, run.pk]),
        compare_url=_compare_url(run, actor),
    )


def _output(run: Run) -> Text | None:
    """Return the result, unless it is what the agent said last."""
    if not run.output:
        return None
    answers = run_messages(run).filter(role="assistant").order_by("-position")
    said = [part.get("content", "") for row in answers[:1] for part in row.parts if _is_text(part)]
    is_said = bool(said) and run.output.strip() == said[-1].strip()
    return None if is_said else folded(run.output[:SHOWN_OUTPUT])


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "text"


def _compare_url(run: Run, actor: Actor) -> str:
    """Return where the run is compared with what it was forked from or replays."""
    other = run.prefix_run_id or run.replay_of_id
    seen = access.scope(actor, Perm.RUN_VIEW, Run.objects.filter(pk=other)) if other else None
    if seen is None or not seen.exists():
        return ""
    return reverse("admin:agents_run_compare", args=[other, run.pk])


def _why_title(run: Run) -> str:
    if run.state in LIVE:
        return gettext("Why it is %(state)s") % {"state": told(run.state)}
    return gettext("How it ended")


def _state_label(run: Run) -> str:
    if run.wait_kind:
        return f"{told(run.state)} · {told(run.wait_kind)}"
    asks = {Control.PAUSE.value, Control.CANCEL.value}
    is_asked = run.control in asks and run.state == RunState.RUNNING.value
    return (
        gettext("%(state)s · asked to %(control)s")
        % {"state": told(run.state), "control": told(run.control)}
        if is_asked
        else told(run.state)
    )


def _facts(run: Run) -> tuple[tuple[str, SafeString | str], ...]:
    facts: list[tuple[str, SafeString | str]] = [
        (gettext("Agent"), _agent(run)),
        (gettext("Created"), moment(run.created_at)),
        (gettext("Took"), _took(run)),
        (gettext("Model calls"), str(run.iteration)),
        (gettext("Tokens in"), count(run.input_tokens)),
        (gettext("Tokens out"), count(run.output_tokens)),
        (gettext("Cost"), money(run.cost_usd, is_partial=run.cost_is_partial)),
    ]
    if run.cache_read_tokens:
        facts.insert(5, (gettext("From cache"), count(run.cache_read_tokens)))
    if run.worker_id is not None:
        worker = Worker.objects.filter(pk=run.worker_id).first()
        facts.append((gettext("Worker"), worker.name if worker else NOTHING))
    if run.deadline_at is not None:
        facts.append((gettext("Deadline"), moment(run.deadline_at)))
    facts += [
        (capfirst(told(name)), _limit(name, value))
        for name, value in run.limits.items()
        if name.startswith("max_") and value is not None
    ]
    facts += _origins(run)
    facts.append((gettext("Workspace"), run.workspace.name))
    facts.append(
        (gettext("Asked by"), run.requested_by.get_username() if run.requested_by else NOTHING)
    )
    facts.append((gettext("By way of"), way_of(run)))
    trace = trace_id(root_id=run.root_id, trace_parent=run.trace_parent)
    facts.append((gettext("Trace"), format_html('<code class="id">{}</code>', trace)))
    if run.crashes:
        facts.append((gettext("Worker deaths"), str(run.crashes)))
    return tuple(facts)


def _limit(name: str, value: Any) -> str:
    return f"${value}" if name.endswith("_usd") else f"{value:,}".replace(",", "\u202f")


def way_of(run: Run) -> str:
    """Say where a run was asked for, and with what, where the request said so."""
    if not run.client:
        return told(run.surface) or NOTHING
    return gettext("%(client)s, through %(surface)s (as the client says of itself)") % {
        "client": run.client,
        "surface": told(run.surface),
    }


def _origins(run: Run) -> list[tuple[str, SafeString | str]]:
    found: list[tuple[str, SafeString | str]] = []
    if run.prefix_run_id is not None:
        label = gettext("checkpoint %(forked_from_sequence)s") % {
            "forked_from_sequence": run.forked_from_sequence
        }
        found.append((gettext("Forked from"), row_link("agents_run", run.prefix_run_id, label)))
    if run.replay_of_id is not None:
        found.append(
            (
                gettext("Replay of"),
                row_link("agents_run", run.replay_of_id, gettext("the recorded run")),
            )
        )
    if run.session_id is not None:
        found.append(
            (gettext("Session"), row_link("agents_session", run.session_id, run.session or "open"))
        )
    return found


def _agent(run: Run) -> SafeString | str:
    if run.agent_id is None:
        return run.agent_name
    url = reverse("admin:agents_agent_change", args=[run.agent_id])
    version = f" v{run.version.number}" if run.version else ""
    return format_html('<a href="{}">{}</a>{}', url, run.agent_name, version)


def _took(run: Run) -> str:
    if run.started_at is None:
        return NOTHING
    return duration(((run.finished_at or clock.now()) - run.started_at).total_seconds())


def _checkpoints(run: Run) -> tuple[CheckpointRow, ...]:
    rows = run_checkpoints(run).order_by("-sequence")[:SHOWN_CHECKPOINTS]
    fork_url = reverse("admin:agents_run_fork", args=[run.pk])
    return tuple(
        CheckpointRow(
            sequence=row.sequence,
            messages=row.message_count,
            phase=str(_PHASES.get(row.state.get("phase", "model"), "model")),
            iteration=row.state.get("iteration", 0),
            at=moment(row.created_at),
            fork_url=f"{fork_url}?checkpoint={row.sequence}",
        )
        for row in rows
    )


_PHASES: Final = {
    "model": _("before asking the model"),
    "tools": _("calls are open"),
    "done": _("the end"),
}


def _family(run: Run, actor: Actor) -> tuple[tuple[Relative, ...], int]:
    """Return the tree this run belongs to, parents before children, and how many more there are.

    A run alone has none.
    """
    rows = access.scope(actor, Perm.RUN_VIEW, Run.objects.filter(root_id=run.root_id))
    slim = rows.only("pk", "agent_name", "state", "parent_id", "root_id").order_by("pk")
    found: list[Run] = list(slim[: SHOWN_FAMILY + 1])
    if len(found) < 2:
        return (), 0
    more = rows.count() - SHOWN_FAMILY if len(found) > SHOWN_FAMILY else 0
    found = found[:SHOWN_FAMILY]
    below: dict[Any, list[Run]] = {}
    known = {row.pk for row in found}
    for row in found:
        below.setdefault(row.parent_id if row.parent_id in known else None, []).append(row)
    ordered: list[Relative] = []
    pending = [(row, 0) for row in reversed(below.get(None, []))]
    while pending:
        row, depth = pending.pop()
        ordered.append(
            Relative(
                url=reverse("admin:agents_run_change", args=[row.pk]),
                agent=row.agent_name,
                state=pill(row.state),
                depth=min(depth, 6),
                is_this=row.pk == run.pk,
            )
        )
        pending += [(child, depth + 1) for child in reversed(below.get(row.pk, []))]
    return tuple(ordered), more
