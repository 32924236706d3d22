"""Answers about calls in doubt, on their way from the inbox to the ledger."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agents.execution.evidence import call_evidence
from core.errors import InvalidInputError
from governance.contracts import Edit, Ruling
from plugins.services.asked import call_locked
from plugins.services.calls import call_settle


class InDoubtApprovals:
    """The approval kind `in_doubt`: it happened, it did not, or it shall be tried again."""

    def lock(self, *, subject_id: UUID, run_id: UUID | None) -> None:
        """Lock the call, which resolving it elsewhere moves first too."""
        call_locked(subject_id)

    def edit(self, *, subject_id: UUID, arguments: Mapping[str, Any]) -> Edit:
        sentence = "What may have happened cannot be changed."
        raise InvalidInputError(sentence, fields={"arguments": [sentence]})

    def alike(self, *, subject_id: UUID) -> None:
        """Nobody can say beforehand what will have happened."""

    def evidence(self, *, subject_id: UUID) -> Mapping[str, Any]:
        return call_evidence(subject_id)

    def decided(self, ruling: Ruling) -> None:
        call_settle(ruling.subject_id, choice=ruling.choice, by=ruling.by, note=ruling.reason)

    def noted(self, ruling: Ruling, *, event: str) -> None:
        """The call's trace tells of its settlement only."""
