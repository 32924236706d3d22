"""Questions alike: the same tool, agent and rule, with arguments of the same shape; and in what
their arguments differ, for whoever answers several of them at once."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import F

from governance import access
from governance.contracts import Actor, ApprovalState, Perm
from governance.models import Approval, ApprovalVote
from governance.selectors.approvals import decider_of, difference
from governance.selectors.queue import ballot_of, is_irreversible, refusal_for

MAX_ALIKE: Final = 200
LOOKED_AT: Final = 2_000
MAX_VALUES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AlikeRow:
    """One of them; `differs` is where its arguments are not those of the first."""

    id: UUID
    digest: str
    title: str
    requester: str
    run_id: UUID | None
    is_irreversible: bool
    differs: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The values that one argument takes among them, the most frequent first."""

    path: str
    values: tuple[tuple[str, int], ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """What is asked like one question, itself first; only what this person may decide now."""

    rows: tuple[AlikeRow, ...]
    spreads: tuple[Spread, ...]
    more: int
    others: int  # alike, but not theirs to decide


def alike_to(actor: Actor, approval: Approval) -> Alike:
    """Return the pending questions like this one; for who may see payloads.

    Raises:
        PermissionDeniedError: The actor may not see arguments.
    """
    access.require(actor, Perm.RUN_PAYLOAD, approval.workspace_id)
    if approval.choices:
        return Alike(rows=(), spreads=(), more=0, others=0)
    wanted = shape_of(approval.current_arguments)
    asked = [row for row in _candidates(approval) if shape_of(row.current_arguments) == wanted]
    decider = decider_of(actor, approval.workspace_id)
    ballot = ballot_of(ApprovalVote.objects.filter(approval__in=[row.pk for row in asked]))
    mine = [row for row in asked if not refusal_for(decider, row, ballot)]
    mine.sort(key=lambda row: row.pk != approval.pk)  # stable: the others keep their order
    shown = mine[:MAX_ALIKE]
    return Alike(
        rows=tuple(
            AlikeRow(
                id=row.pk,
                digest=row.binding_digest,
                title=row.title,
                requester=row.requester_name,
                run_id=row.run_id,
                is_irreversible=is_irreversible(row),
                differs=tuple(difference(approval.current_arguments, row.current_arguments)),
            )
            for row in shown
        ),
        spreads=spreads_of([row.current_arguments for row in shown]),
        more=len(mine) - len(shown),
        others=len(asked) - len(mine),
    )


def shape_of(value: Any) -> Any:
    """Return what arguments are made of, without what they say."""
    if isinstance(value, dict):
        return tuple((name, shape_of(inner)) for name, inner in sorted(value.items()))
    if isinstance(value, list):
        return ("list", frozenset(shape_of(inner) for inner in value))
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def spreads_of(all_arguments: list[Any]) -> tuple[Spread, ...]:
    """Return the places where the arguments are not all the same, with their values."""
    found: dict[str, Counter[str]] = {}
    for arguments in all_arguments:
        for path, value in _leaves(arguments):
            found.setdefault(path, Counter())[value] += 1
    every = len(all_arguments)
    return tuple(
        Spread(
            path=path,
            values=tuple(values.most_common(MAX_VALUES)),
            more=max(len(values) - MAX_VALUES, 0),
        )
        for path, values in found.items()
        if len(values) > 1 or values.total() != every
    )


def _leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [
            leaf
            for name, inner in sorted(value.items())
            for leaf in _leaves(inner, f"{path}.{name}" if path else name)
        ]
    return [(path, json.dumps(value, ensure_ascii=False))]


def _candidates(approval: Approval) -> list[Approval]:
    rows = Approval.objects.filter(
        workspace_id=approval.workspace_id,
        state=ApprovalState.PENDING.value,
        kind=approval.kind,
        tool=approval.tool,
        agent_name=approval.agent_name,
        rule=approval.rule,
    )
    ordered = rows.order_by(F("expires_at").asc(nulls_last=True), "pk")
    return [row for row in ordered[:LOOKED_AT] if not row.choices]
