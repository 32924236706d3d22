"""Answering several questions at once: each is decided by itself, bound to what was seen of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.errors import DomainError, InvalidInputError
from governance.contracts import Actor
from governance.services.approvals.deciding import approval_decide

MAX_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An approval, and the binding of it that somebody was shown."""

    id: UUID
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one of them: its state now, or why it was not decided."""

    id: UUID
    title: str = ""
    state: str = ""
    problem: str = ""


def approvals_decide(
    *,
    actor: Actor,
    seen: Sequence[Seen],
    verdict: str,
    reason: str = "",
    surface: str = "api",
) -> list[Outcome]:
    """Give each the same answer, in order, each in a transaction of its own.

    One that is lost to somebody else, has changed, or is not the actor's stops none of the others.

    Raises:
        InvalidInputError: None, too many, or one of them twice.
    """
    ids = {each.id for each in seen}
    if not 1 <= len(seen) <= MAX_AT_ONCE or len(ids) != len(seen):
        sentence = f"Choose 1 to {MAX_AT_ONCE} approvals, each once."
        raise InvalidInputError(sentence, fields={"items": [sentence]})
    outcomes = []
    for each in seen:
        try:
            decided = approval_decide(
                actor=actor,
                approval_id=each.id,
                verdict=verdict,
                reason=reason,
                surface=surface,
                seen_digest=each.digest,
            )
        except DomainError as error:
            outcomes.append(Outcome(id=each.id, problem=error.message))
        else:
            outcomes.append(Outcome(id=each.id, title=decided.title, state=decided.state))
    return outcomes
