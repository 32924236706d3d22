"""What other apps tell governance of as they start: what approvals can be about, each kind with the
code that carries a decision out, which of their columns are sealed, and who posts messages.

Governance knows no subject and no model of theirs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Model

from governance.contracts import Alikeness, ApprovalKind, Edit, Poster, Ruling


class ApprovalHandler(Protocol):
    """Carries decisions of one kind to their subjects, inside the deciding transaction."""

    def lock(self, *, subject_id: UUID, run_id: UUID | None) -> None:
        """Lock what the decision will move, before the approval itself is locked.

        Whoever moves subjects takes their locks in this order too.
        """
        ...

    def edit(self, *, subject_id: UUID, arguments: Mapping[str, Any]) -> Edit:
        """Check arguments that shall replace the asked ones.

        Raises:
            InvalidInputError: They do not fit.
        """
        ...

    def decided(self, ruling: Ruling) -> None:
        """Move the subject as decided and wake what waits for it.

        Raises:
            StaleStateError: It waits no more; the decision is undone with this transaction.
        """
        ...

    def alike(self, *, subject_id: UUID) -> Alikeness | None:
        """Say what others must be like to be covered by a standing approval; None: there is none
        for this kind."""
        ...

    def evidence(self, *, subject_id: UUID) -> Mapping[str, Any]:
        """Say where its arguments come from (`sources`) and what waits for it (`waits`)."""
        ...

    def noted(self, ruling: Ruling, *, event: str) -> None:
        """Tell the subject's trace of something that decides nothing yet."""
        ...


_handlers: dict[ApprovalKind, ApprovalHandler] = {}


def approval_kind_register(kind: ApprovalKind, handler: ApprovalHandler) -> None:
    """Say who carries out decisions of a kind; called while apps start."""
    _handlers[kind] = handler


def approval_handler(kind: ApprovalKind | str) -> ApprovalHandler:
    return _handlers[ApprovalKind(kind)]


_posters: list[Poster] = []


def poster_register(found: Poster) -> None:
    """Say who sends messages out; the app that has the careful client does so at start."""
    _posters[:] = [found]


def poster() -> Poster:
    return _posters[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumn:
    """A column of sealed values; `name` says under which name a row's value was sealed.

    The model has a `workspace`.
    """

    model: type[Model]
    column: str
    purpose: str
    name: Callable[[Any], str]

    @property
    def label(self) -> str:
        return f"{self.model._meta.label}.{self.column}"


_sealed: dict[str, SealedColumn] = {}


def sealed_column_register(column: SealedColumn) -> None:
    """Have the column's values sealed anew when the site's key changes; called while apps start."""
    _sealed[column.label] = column


def sealed_columns() -> list[SealedColumn]:
    return [_sealed[label] for label in sorted(_sealed)]
