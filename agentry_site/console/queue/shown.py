"""What the page of the queue is drawn from: rows, tabs, filters, and what has become of the open
question."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core import clock
from core.admin import moment, no_sandbox, pill, short_id, told
from governance import access
from governance.contracts import Actor, ApprovalState
from governance.guard.question import ANSWERS, KINDS
from governance.selectors.queue import (
    SHOWN,
    Queue,
    QueueFilter,
    QueueRow,
    RowDetail,
    details_of,
    queue_decided,
    queue_mark,
    queue_pending,
)
from governance.services.approvals.deciding import what_changed

MINE: Final = "mine"
ALL: Final = "all"
DECIDED: Final = "decided"
_TABS: Final = ((MINE, _("For me")), (ALL, _("All open")), (DECIDED, _("Decided today")))
_SHORTEST_NOTICE: Final = timedelta(minutes=10)
MAX_SHOWN: Final = 2_000
_NUMBER: Final = re.compile("[1-9][0-9]{0,4}")
_NAMES: Final = tuple(each.name for each in fields(QueueFilter))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of the queue somebody has asked for, as it stands in the address."""

    show: str = MINE
    wanted: QueueFilter = field(default_factory=QueueFilter)
    shown: int = SHOWN

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "View":
        show = str(given.get("show", MINE))
        number = str(given.get("shown", ""))
        return cls(
            show=show if show in {MINE, ALL, DECIDED} else MINE,
            wanted=QueueFilter(**{name: str(given.get(name, ""))[:200] for name in _NAMES}),
            shown=min(int(number), MAX_SHOWN) if _NUMBER.fullmatch(number) else SHOWN,
        )

    def query(self, **changes: str) -> str:
        """Return it as an address says it, with other values in places."""
        wanted = {name: getattr(self.wanted, name) for name in _NAMES}
        shown = str(self.shown) if self.shown != SHOWN else ""
        parts = {"show": self.show, **wanted, "shown": shown, **changes}
        kept = {name: value for name, value in parts.items() if value}
        if kept.get("show") == MINE:
            del kept["show"]
        return f"?{urlencode(kept)}" if kept else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowShown:
    id: UUID
    digest: str
    url: str
    title: str
    excerpt: str
    facts: str
    run: SafeString | str
    asked: SafeString | str
    marks: tuple[SafeString, ...]
    quorum: str
    is_others: bool
    state: SafeString | str
    by: str
    until: str
    warn_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    title: str
    url: str
    count: str
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """One list to choose from; `options` are values with their words."""

    name: str
    label: str
    value: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """How the open question stands now; `sentence` where that is not as it was shown."""

    id: UUID
    state: str
    digest: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    rows: tuple[RowShown, ...]
    tabs: tuple[Tab, ...]
    narrowings: tuple[Narrowing, ...]
    mine: int
    open: int
    more_url: str
    more: int
    is_narrowed: bool
    truth: Truth | None
    mark: str


def mark_of(actor: Actor, view: View, truth: Truth | None) -> str:
    """Return what is another whenever the view, or how the open question stands, is."""
    told = repr((view, truth, queue_mark(actor, with_decided=view.show == DECIDED)))
    return f'"{hashlib.sha256(told.encode()).hexdigest()[:32]}"'


def listing(actor: Actor, view: View, truth: Truth | None, mark: str) -> Listing:
    """Gather one view of the queue. The mark was made before: what changes between is shown
    once more, and never missed."""
    pending = queue_pending(actor, view.wanted, only_mine=view.show == MINE, shown=view.shown)
    queue = queue_decided(actor, view.wanted) if view.show == DECIDED else pending
    details = details_of(actor, queue.rows)
    return Listing(
        rows=tuple(_row(row, details[row.id], view) for row in queue.rows),
        tabs=_tabs(view, pending),
        narrowings=_narrowings(view, queue),
        mine=pending.mine,
        open=pending.open,
        more=queue.more,
        more_url=view.query(shown=str(view.shown + SHOWN)) if view.show != DECIDED else "",
        is_narrowed=view.wanted != QueueFilter(),
        truth=truth,
        mark=mark,
    )


def truth_of(actor: Actor, row: Any, seen: str) -> Truth:
    """Say how a question stands, for somebody who looks at it as it was at `seen`."""
    sentence = outcome(row, is_readable=access.may_see_payload(actor, row.workspace_id))
    if not sentence and seen and seen != row.binding_digest:
        sentence = gettext("%(change)s since you opened it.") % {"change": what_changed(row)}
    return Truth(id=row.pk, state=row.state, digest=row.binding_digest, sentence=sentence)


def outcome(row: Any, *, is_readable: bool) -> str:
    """Say in a sentence what became of a question, and by whom; nothing while it is open."""
    if row.state == ApprovalState.PENDING.value:
        return ""
    because = f" “{row.reason}”" if row.reason and is_readable and row.decided_by_name else ""
    if row.state == ApprovalState.WITHDRAWN.value:
        return gettext("It was withdrawn: what it was about is gone.")
    if not row.decided_by_name:
        return gettext("Nobody decided in time; it is %(state)s.") % {"state": told(row.state)}
    if row.choice:
        title, _rest = ANSWERS.get(row.choice, (row.choice.replace("_", " "), ""))
        return gettext("%(decided_by_name)s answered: %(title)s.%(because)s") % {
            "decided_by_name": row.decided_by_name,
            "title": title,
            "because": because,
        }
    return gettext("%(decided_by_name)s %(state)s it.%(because)s") % {
        "decided_by_name": row.decided_by_name,
        "state": told(row.state),
        "because": because,
    }


def _row(row: QueueRow, detail: RowDetail, view: View) -> RowShown:
    is_pending = row.state == ApprovalState.PENDING.value
    facts = [
        row.workspace,
        gettext("for %(requester)s") % {"requester": row.requester} if row.requester else "",
    ]
    if row.kind != "tool_call":
        facts.insert(0, str(KINDS.get(row.kind, row.kind.replace("_", " "))))
    return RowShown(
        id=row.id,
        digest=row.digest,
        url=reverse("admin:approval_queue_open", args=[row.id]) + view.query(),
        title=row.title,
        excerpt=detail.excerpt,
        facts=" · ".join(fact for fact in facts if fact),
        run=short_id(row.run_id) if row.run_id else "",
        asked=moment(row.asked_at),
        marks=marks(
            is_irreversible=row.is_irreversible,
            is_privileged=row.is_privileged,
            is_unprotected=detail.is_unprotected,
            is_edited=detail.is_edited,
            is_escalated=row.is_escalated,
        ),
        quorum=gettext("%(agreed)s of %(quorum)s agreed")
        % {"agreed": row.agreed, "quorum": row.quorum}
        if is_pending and row.quorum > 1
        else "",
        is_others=is_pending and bool(row.why_not),
        state="" if is_pending else pill(row.state),
        by=row.decided_by,
        until=row.expires_at.isoformat() if is_pending and row.expires_at else "",
        warn_at=warned_from(row.expires_at, row.expires_seconds),
    )


def marks(
    *,
    is_irreversible: bool,
    is_privileged: bool,
    is_unprotected: bool,
    is_edited: bool = False,
    is_escalated: bool = False,
) -> tuple[SafeString, ...]:
    """Return the signs of risk, the gravest first."""
    found = [no_sandbox()] if is_unprotected else []
    if is_irreversible:
        found.append(pill("denied", label=gettext("irreversible")))
    if is_privileged:
        found.append(pill("pending", label=gettext("privileged")))
    if is_escalated:
        found.append(pill("pending", label=gettext("escalated")))
    if is_edited:
        found.append(pill("draft", label=gettext("arguments changed")))
    return tuple(found)


def warned_from(expires_at: datetime | None, seconds: float | None) -> str:
    """Say from when on little time is left: a fifth of it, and at least ten minutes."""
    if expires_at is None:
        return ""
    notice = max(timedelta(seconds=(seconds or 0) / 5), _SHORTEST_NOTICE)
    return (expires_at - notice).isoformat()


def _tabs(view: View, pending: Queue) -> tuple[Tab, ...]:
    counts = {MINE: str(pending.mine), ALL: str(pending.open)}
    return tuple(
        Tab(
            title=str(title),
            url=reverse("admin:approval_queue") + view.query(show=show),
            count=counts.get(show, ""),
            is_current=view.show == show,
        )
        for show, title in _TABS
    )


def _narrowings(view: View, queue: Queue) -> tuple[Narrowing, ...]:
    choices, wanted = queue.choices, view.wanted
    return tuple(
        Narrowing(
            name=name,
            label=label,
            value=value,
            options=tuple(
                (each, str(words.get(each, each))) for each in sorted({*found, value} - {""})
            ),
        )
        for name, label, value, found, words in (
            ("workspace", gettext("Workspace"), wanted.workspace, choices.workspaces, {}),
            ("agent", gettext("Agent"), wanted.agent, choices.agents, {}),
            ("tool", gettext("Tool"), wanted.tool, choices.tools, {}),
            ("kind", gettext("Kind"), wanted.kind, choices.kinds, KINDS),
        )
    )


def now_iso() -> str:
    """Return the server's time, for count-downs of clocks that go wrong."""
    return clock.now().isoformat()
