"""What other apps do for governance: carry decisions out, and send messages to the outside.

The app that owns the subjects registers its handler at start; governance knows no subject.
"""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

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
