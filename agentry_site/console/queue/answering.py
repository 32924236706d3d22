"""Answers to questions of the queue, as the page sends them and is told what came of them.

What is refused is an ordinary answer of the page (`is_done` false, with the sentence): it stays
where it is and shows how the question stands now.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.errors import DomainError, InvalidInputError
from governance.contracts import Actor, ApprovalState
from governance.guard.question import changes_shown
from governance.services.approvals import (
    Outcome,
    Seen,
    approval_decide,
    approval_try,
    approvals_decide,
)

SURFACE: Final = "console"
_DONE: Final = {
    ApprovalState.APPROVED.value: _("Approved"),
    ApprovalState.DENIED.value: _("Denied"),
    ApprovalState.PENDING.value: _("Your yes counts; others must agree"),
}


class _Item(msgspec.Struct, frozen=True):
    id: UUID
    seen: str


def decided(request: HttpRequest, actor: Actor, approval_id: UUID) -> JsonResponse:
    """Answer one question; the binding that was seen is sent with every answer."""
    given = request.POST
    try:
        row = approval_decide(
            actor=actor,
            approval_id=approval_id,
            verdict=given.get("verdict", ""),
            reason=given.get("reason", ""),
            arguments=_arguments(given),
            choice=given.get("choice", ""),
            surface=SURFACE,
            seen_digest=given.get("seen", ""),
        )
    except DomainError as error:
        return refused(error)
    word = gettext("Answered") if row.choice else _DONE[row.state]
    return JsonResponse(
        {
            "is_done": True,
            "id": str(row.pk),
            "state": row.state,
            "sentence": f"{word}: {row.title}.",
        }
    )


def tried(request: HttpRequest, actor: Actor, approval_id: UUID) -> JsonResponse:
    """Check other arguments as they are being written; decides nothing."""
    try:
        arguments = _arguments(request.POST)
        if arguments is None:
            raise _unfit("Write the whole new arguments as a JSON object.")
        found = approval_try(actor=actor, approval_id=approval_id, arguments=arguments)
    except DomainError as error:
        return refused(error)
    changes = [
        {"path": each.path, "before": each.before, "after": each.after}
        for each in changes_shown(found)
    ]
    return JsonResponse({"is_done": True, "changes": changes})


def decided_many(request: HttpRequest, actor: Actor) -> JsonResponse:
    """Answer several questions the same way; each is told of by itself."""
    try:
        items = msgspec.json.decode(request.POST.get("items", "").encode(), type=list[_Item])
        outcomes = approvals_decide(
            actor=actor,
            seen=[Seen(id=item.id, digest=item.seen) for item in items],
            verdict=request.POST.get("verdict", ""),
            reason=request.POST.get("reason", ""),
            surface=SURFACE,
        )
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        return refused(InvalidInputError(f"The list of approvals cannot be read: {error}."))
    except DomainError as error:
        return refused(error)
    return JsonResponse(
        {
            "is_done": True,
            "sentence": _summary(outcomes),
            "outcomes": [
                {
                    "id": str(each.id),
                    "title": each.title,
                    "state": each.state,
                    "problem": each.problem,
                }
                for each in outcomes
            ],
        }
    )


def refused(error: DomainError) -> JsonResponse:
    return JsonResponse(
        {
            "is_done": False,
            "code": error.code,
            "sentence": str(error),
            "by": str(error.detail.get("by", "")),
            "fields": error.fields,
        }
    )


def _summary(outcomes: list[Outcome]) -> str:
    counted = {word: sum(each.state == state for each in outcomes) for state, word in _DONE.items()}
    parts = [f"{n} {word[0].lower()}{word[1:]}" for word, n in counted.items() if n]
    if lost := sum(bool(each.problem) for each in outcomes):
        parts.append(gettext("%(lost)s not decided") % {"lost": lost})
    return f"{', '.join(parts)}."


def _arguments(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read other arguments, where some are given.

    Raises:
        InvalidInputError: It is no JSON object; the sentence names the line and the column.
    """
    text = str(given.get("arguments", ""))
    if not text.strip():
        return None
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _unfit(f"Line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (ValueError, RecursionError) as error:
        raise _unfit(f"This is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise _unfit("Write a JSON object: the names of arguments with their values.")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value of JSON")


def _unfit(sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={"arguments": [sentence]})
