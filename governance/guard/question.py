"""One question to a person as pages show it: the same wherever it is looked at or decided."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.admin import Line, difference_line, moment, pill, pretty_json
from governance import access
from governance.contracts import Actor, ApprovalKind, ApprovalState, Perm
from governance.models import Approval, ApprovalVote
from governance.selectors.approvals import decider_of, difference
from governance.selectors.evidence import approval_evidence
from governance.selectors.queue import ballot_of, is_irreversible, refusal_for

KINDS: Final = {
    ApprovalKind.TOOL_CALL.value: _("Tool call"),
    ApprovalKind.IN_DOUBT.value: _("Call in doubt"),
    ApprovalKind.BUDGET_RAISE.value: _("Raise of a limit"),
}
# What the known answers are called, and what comes of them; others are shown by their own words.
ANSWERS: Final = {
    "happened": (_("It happened"), _("The call is settled as done, and the model is told so.")),
    "did_not_happen": (
        _("It did not happen, and shall not"),
        _("The call is settled as failed; the model decides what to do next."),
    ),
    "retry": (_("It did not happen; do it now"), _("The call is made again, under the same key.")),
}
_OPEN: Final = frozenset({ApprovalState.PENDING.value, ApprovalState.APPROVED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One of the answers a question offers instead of yes and no; `key` is pressed for it."""

    value: str
    title: str
    consequence: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    who: str
    at: SafeString | str
    is_counted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedent:
    """What was said of a call like this one."""

    id: str
    state: SafeString
    by: str
    reason: str
    at: SafeString | str
    agent: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found out for whoever decides; see `governance.selectors.evidence`."""

    engine: str
    hosts: tuple[str, ...]
    plan: str
    plan_lines: tuple[Line, ...]
    plan_counts: tuple[tuple[str, int], ...]
    plan_cost: str
    plan_problem: str
    sources: tuple[dict[str, Any], ...]
    run: dict[str, Any]
    above: tuple[dict[str, Any], ...]
    beside: tuple[tuple[str, str, int], ...]  # of the same turn: tool, state, how many
    precedents: tuple[Precedent, ...]
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`why_not` is empty where it is theirs to decide now. `evidence` and all texts of what is
    asked are empty where `is_readable` is false."""

    approval: Approval
    kind: str
    is_pending: bool
    is_readable: bool
    is_irreversible: bool
    is_unprotected: bool
    why_not: str
    answers: tuple[Answer, ...]
    may_edit: bool
    may_grant: bool
    arguments: str
    changes: tuple[Change, ...]
    votes: tuple[Vote, ...]
    agreed: int
    credentials: tuple[str, ...]
    evidence: Evidence | None
    asked_again: UUID | None


def question_shown(actor: Actor, row: Approval) -> Question:
    """Gather what this person may see of a question they may know of."""
    is_pending = row.state == ApprovalState.PENDING.value
    is_readable = access.may_see_payload(actor, row.workspace_id)
    votes = ApprovalVote.objects.filter(approval=row).select_related("user", "for_user")
    ballot = ballot_of(votes)
    why_not = refusal_for(decider_of(actor, row.workspace_id), row, ballot)
    current = row.current_arguments
    may_decide = access.can(actor, Perm.APPROVAL_DECIDE, row.workspace_id)
    return Question(
        approval=row,
        kind=str(KINDS.get(row.kind, row.kind.replace("_", " ").capitalize())),
        is_pending=is_pending,
        is_readable=is_readable,
        is_irreversible=is_irreversible(row),
        is_unprotected=is_unprotected(row),
        why_not=why_not,
        answers=_answers(row),
        may_edit=is_readable and not row.choices and isinstance(current, dict),
        may_grant=row.is_grantable and is_readable and may_decide and row.state in _OPEN,
        arguments=pretty_json(current) if is_readable else "",
        changes=_changes(row) if is_readable else (),
        votes=tuple(
            Vote(
                who=voter(vote),
                at=moment(vote.at),
                is_counted=vote.digest == row.binding_digest,
            )
            for vote in ballot.votes.get(row.pk, ())
        ),
        agreed=len(ballot.of(row)),
        credentials=tuple(
            part.partition("@")[0] for part in row.binding.get("credential", "").split()
        ),
        evidence=_evidence(actor, row) if is_readable else None,
        asked_again=None if is_pending else _asked_again(row),
    )


def is_unprotected(row: Approval) -> bool:
    """Say whether a yes lets a program run without a sandbox."""
    return bool((row.evidence.get("sandbox") or {}).get("is_unprotected"))


def _answers(row: Approval) -> tuple[Answer, ...]:
    found = []
    for place, value in enumerate(row.choices, start=1):
        title, consequence = ANSWERS.get(value, (value.replace("_", " ").capitalize(), ""))
        found.append(
            Answer(
                value=value,
                title=str(title),
                consequence=str(consequence),
                key=str(place) if place < 10 else "",
            )
        )
    return tuple(found)


def _changes(row: Approval) -> tuple[Change, ...]:
    if row.edited_arguments is None:
        return ()
    return changes_shown(difference(row.arguments, row.edited_arguments))


def changes_shown(found: list[dict[str, Any]]) -> tuple[Change, ...]:
    """Write down where two arguments differ."""
    return tuple(
        Change(path=each["path"], before=_text(each["before"]), after=_text(each["after"]))
        for each in found
    )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def voter(vote: ApprovalVote) -> str:
    """Say who voted, and in whose place."""
    return (
        gettext("%(user)s for %(for_user)s") % {"user": vote.user, "for_user": vote.for_user}
        if vote.for_user
        else str(vote.user)
    )


def _asked_again(row: Approval) -> UUID | None:
    """Return the question about the same thing that is open now."""
    same = Approval.objects.filter(
        kind=row.kind, subject_id=row.subject_id, state=ApprovalState.PENDING.value
    )
    return same.values_list("pk", flat=True).first()


def _evidence(actor: Actor, row: Approval) -> Evidence:
    found = approval_evidence(actor, row)
    sandbox = found["sandbox"] or {}
    plan = found["plan"] if isinstance(found["plan"], dict) else {}
    waits = found["waits"]
    return Evidence(
        engine=sandbox.get("engine", ""),
        hosts=tuple(sandbox.get("net", ())),
        plan=plan.get("summary", ""),
        plan_lines=_lines(plan.get("difference", "")),
        plan_counts=tuple((plan.get("counts") or {}).items()),
        plan_cost=str(plan.get("cost_usd") or ""),
        plan_problem=found["plan_problem"],
        sources=tuple(found["sources"]),
        run=waits.get("run", {}),
        above=tuple(waits.get("above", ())),
        beside=_counted(waits.get("beside", ())),
        precedents=tuple(_precedent(each) for each in found["similar"]),
        counts=tuple((state, n) for state, n in found["counts"].items() if n),
    )


def _counted(calls: Iterable[dict[str, Any]]) -> tuple[tuple[str, str, int], ...]:
    found = Counter((each["tool"], each["state"].replace("_", " ")) for each in calls)
    return tuple((tool, state, n) for (tool, state), n in found.items())


def _precedent(each: dict[str, Any]) -> Precedent:
    return Precedent(
        id=each["approval"],
        state=pill(each["state"]),
        by=each["by"],
        reason=each["reason"],
        at=moment(datetime.fromisoformat(each["at"]) if each["at"] else None),
        agent=each["agent"],
        changes=changes_shown(each["difference"]),
    )


def _lines(text: str) -> tuple[Line, ...]:
    """Return the lines of a unified difference; of a plain text, its lines."""
    return tuple(
        Line(sign=" ", kind="place", text=line)
        if line.startswith(("+++", "---"))
        else difference_line(line)
        for line in text.splitlines()
    )
