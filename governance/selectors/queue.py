"""The queue: what waits for people, what is soonest at risk first, as one person may decide it."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Case, Count, F, Max, QuerySet, TextField, When
from django.db.models.functions import Cast, Substr

from core import clock
from governance import access
from governance.contracts import Actor, ApprovalState, Perm, Verdict
from governance.models import Approval, ApprovalVote, Workspace
from governance.selectors.approvals import Decider, deciders_of

LOOKED_AT: Final = 5_000
SHOWN: Final = 200
DECIDED_SHOWN: Final = 100
DECIDED_LOOKED_AT: Final = 1_000
EXCERPT_CHARS: Final = 200
DECIDED_WITHIN: Final = timedelta(days=1)

# What a row of the list is made of; arguments and evidence are read for the open question alone.
_COLUMNS: Final = (
    "kind", "subject_id", "run_id", "agent_name", "requester_id", "requester_name", "title",
    "state", "binding_digest", "approvers", "quorum", "allow_self", "owner_id", "allow_owner",
    "tool", "effect", "is_privileged", "choices", "rule", "expires_seconds", "expires_at",
    "escalations", "created_at", "decided_at", "decided_by_name", "choice", "workspace",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """What of the queue somebody wants to see; empty: all of it."""

    workspace: str = ""
    agent: str = ""
    tool: str = ""
    kind: str = ""

    def fits(self, row: Approval, workspace: str) -> bool:
        return all(
            not wanted or wanted == value
            for wanted, value in (
                (self.workspace, workspace),
                (self.agent, row.agent_name),
                (self.tool, row.tool),
                (self.kind, row.kind),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Values the queue could be narrowed to."""

    workspaces: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One question in the list. `why_not` is empty where it is theirs to decide now."""

    id: UUID
    digest: str
    state: str
    kind: str
    title: str
    workspace: str
    agent: str
    tool: str
    run_id: UUID | None
    requester: str
    asked_at: datetime
    expires_at: datetime | None
    expires_seconds: float | None
    quorum: int
    agreed: int
    is_irreversible: bool
    is_privileged: bool
    is_escalated: bool
    why_not: str
    decided_at: datetime | None = None
    decided_by: str = ""
    choice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDetail:
    """What a row says beside that; `excerpt` is the beginning of its arguments, for whoever may
    see them."""

    excerpt: str = ""
    is_unprotected: bool = False
    is_edited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What somebody sees of the queue. `rows` are the first of `total`; of what waits and passes
    the filter, `mine` is theirs to decide and `open` is all of it."""

    rows: tuple[QueueRow, ...]
    total: int
    mine: int = 0
    open: int = 0
    choices: Choices = field(default_factory=Choices)

    @property
    def more(self) -> int:
        return max(self.total - len(self.rows), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """Who agreed to what is asked now, by approval."""

    votes: dict[UUID, tuple[ApprovalVote, ...]]

    def of(self, approval: Approval) -> tuple[ApprovalVote, ...]:
        found = self.votes.get(approval.pk, ())
        return tuple(vote for vote in found if vote.digest == approval.binding_digest)

    def has_voted(self, decider: Decider, approval: Approval) -> bool:
        """Say whether their vote, or that of whom they stand for, is counted already."""
        place = decider.in_place_of(approval)
        if place is None:
            return False
        return any(
            vote.user_id == decider.user_id
            or vote.for_user_id == place.user_id
            or (vote.user_id == place.user_id and vote.for_user_id is None)
            for vote in self.of(approval)
        )


def queue_pending(
    actor: Actor, wanted: QueueFilter, *, only_mine: bool, shown: int = SHOWN
) -> Queue:
    """Return what waits, what expires soonest first and then the oldest.

    Of more than 5,000 questions the 5,000 soonest at risk are looked at.
    """
    waiting = list(_pending(actor)[:LOOKED_AT])
    ballot = ballot_of(_pending_votes(actor))
    refusals = _refusals(actor, waiting, ballot)
    names = _names(waiting)
    fitting = [row for row in waiting if wanted.fits(row, names[row.workspace_id])]
    mine = [row for row in fitting if not refusals[row.pk]]
    listed = mine if only_mine else fitting
    return Queue(
        rows=_rows(listed[:shown], names, refusals, ballot),
        total=len(listed),
        mine=len(mine),
        open=len(fitting),
        choices=_choices(waiting, names),
    )


def queue_decided(actor: Actor, wanted: QueueFilter) -> Queue:
    """Return what was decided, expired or withdrawn within the last day, the last first; of more
    than 1,000 the last 1,000 are looked at."""
    found = list(_decided(actor, clock.now()).order_by("-decided_at")[:DECIDED_LOOKED_AT])
    names = _names(found)
    fitting = [row for row in found if wanted.fits(row, names[row.workspace_id])]
    shown = _rows(fitting[:DECIDED_SHOWN], names, {}, Ballot(votes={}))
    return Queue(rows=shown, total=len(fitting), choices=_choices(found, names))


def queue_mark(actor: Actor, *, with_decided: bool) -> str:
    """Return a text that is another whenever what the queue shows somebody is: what waits, what it
    is bound to, who agreed, whose time is over, and what this person may decide.

    Reads no more of a question than its id and its binding, so that it can be asked for often.
    """
    now = clock.now()
    waiting = list(
        _pending(actor).values_list("pk", "binding_digest", "workspace_id", "expires_at")[
            :LOOKED_AT
        ]
    )
    late = sum(ends is not None and ends <= now for *_, ends in waiting)
    votes = _pending_votes(actor).order_by("pk").values_list("pk", "digest", "verdict")
    places = sorted({workspace_id for _, _, workspace_id, _ in waiting})
    told = hashlib.sha256(repr((late, list(votes))).encode())
    told.update("".join(f"{key}{digest}" for key, digest, *_ in waiting).encode())
    deciders = deciders_of(actor, places)
    told.update(repr([_sorted(deciders[place]) for place in places]).encode())
    if with_decided:
        found = _decided(actor, now).aggregate(last=Max("decided_at"), count=Count("pk"))
        told.update(repr(found).encode())
    return told.hexdigest()


def _sorted(decider: Decider) -> tuple[Any, ...]:
    """Write a decider down the same way in every process."""
    away = [_sorted(each) for each in decider.stands_for]
    return (decider.user_id, sorted(decider.names), sorted(decider.held), decider.can_lend, away)


def details_of(actor: Actor, rows: Iterable[QueueRow]) -> dict[UUID, RowDetail]:
    """Return what is told of rows only where they are shown; none is left out."""
    ids = [row.id for row in rows]
    known = Approval.objects.filter(pk__in=ids)
    unprotected = set(
        known.filter(evidence__sandbox__is_unprotected=True).values_list("pk", flat=True)
    )
    edited = set(known.filter(edited_arguments__isnull=False).values_list("pk", flat=True))
    readable = access.scope(actor, Perm.RUN_PAYLOAD, known)
    asked = Case(When(edited_arguments__isnull=False, then="edited_arguments"), default="arguments")
    beginning = Substr(Cast(asked, TextField()), 1, EXCERPT_CHARS)
    excerpts = dict(readable.annotate(excerpt=beginning).values_list("pk", "excerpt"))
    return {
        key: RowDetail(
            excerpt=excerpts.get(key) or "",
            is_unprotected=key in unprotected,
            is_edited=key in edited,
        )
        for key in ids
    }


def ballot_of(votes: QuerySet[ApprovalVote]) -> Ballot:
    """Sort agreeing votes by what they are about."""
    found: dict[UUID, tuple[ApprovalVote, ...]] = {}
    for vote in votes.filter(verdict=Verdict.APPROVE.value).order_by("at"):
        found[vote.approval_id] = (*found.get(vote.approval_id, ()), vote)
    return Ballot(votes=found)


def refusal_for(decider: Decider, approval: Approval, ballot: Ballot) -> str:
    """Say why somebody cannot decide it now; nothing: they can."""
    if refusal := decider.refusal(approval):
        return refusal
    if ballot.has_voted(decider, approval):
        agreed = len(ballot.of(approval))
        return f"You have agreed; it waits for others ({agreed} of {approval.quorum})."
    return ""


def _visible(actor: Actor) -> QuerySet[Approval]:
    rows = Approval.objects.only(*_COLUMNS)
    return access.scope(actor, Perm.APPROVAL_VIEW, rows)


def _pending(actor: Actor) -> QuerySet[Approval]:
    rows = _visible(actor).filter(state=ApprovalState.PENDING.value)
    return rows.order_by(F("expires_at").asc(nulls_last=True), "pk")


def _decided(actor: Actor, now: datetime) -> QuerySet[Approval]:
    rows = _visible(actor).exclude(state=ApprovalState.PENDING.value)
    return rows.filter(decided_at__gte=now - DECIDED_WITHIN)


def _pending_votes(actor: Actor) -> QuerySet[ApprovalVote]:
    rows = ApprovalVote.objects.filter(approval__state=ApprovalState.PENDING.value)
    return access.scope(actor, Perm.APPROVAL_VIEW, rows, field="approval__workspace")


def _refusals(actor: Actor, rows: Collection[Approval], ballot: Ballot) -> dict[UUID, str]:
    deciders = deciders_of(actor, {row.workspace_id for row in rows})
    return {row.pk: refusal_for(deciders[row.workspace_id], row, ballot) for row in rows}


def _names(rows: Iterable[Approval]) -> dict[UUID, str]:
    """Name the workspaces of rows, each once."""
    places = Workspace.objects.filter(pk__in={row.workspace_id for row in rows})
    return dict(places.values_list("pk", "name"))


def _rows(
    listed: list[Approval],
    names: dict[UUID, str],
    refusals: dict[UUID, str],
    ballot: Ballot,
) -> tuple[QueueRow, ...]:
    return tuple(
        QueueRow(
            id=row.pk,
            digest=row.binding_digest,
            state=row.state,
            kind=row.kind,
            title=row.title,
            workspace=names[row.workspace_id],
            agent=row.agent_name,
            tool=row.tool,
            run_id=row.run_id,
            requester=row.requester_name,
            asked_at=row.created_at,
            expires_at=row.expires_at,
            expires_seconds=row.expires_seconds,
            quorum=row.quorum,
            agreed=len(ballot.of(row)),
            is_irreversible=is_irreversible(row),
            is_privileged=row.is_privileged,
            is_escalated=row.escalations > 0,
            why_not=refusals.get(row.pk, ""),
            decided_at=row.decided_at,
            decided_by=row.decided_by_name,
            choice=row.choice,
        )
        for row in listed
    )


def is_irreversible(approval: Approval) -> bool:
    return approval.effect == "irreversible"


def _choices(rows: Iterable[Approval], names: dict[UUID, str]) -> Choices:
    found: list[set[Any]] = [set(), set(), set(), set()]
    for row in rows:
        values = (names[row.workspace_id], row.agent_name, row.tool, row.kind)
        for known, value in zip(found, values, strict=True):
            known.add(value)
    workspaces, agents, tools, kinds = (tuple(sorted(known - {""})) for known in found)
    return Choices(workspaces=workspaces, agents=agents, tools=tools, kinds=kinds)
