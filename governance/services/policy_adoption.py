"""Bringing what a workspace decides by to a text that is kept elsewhere, such as in a document."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import transaction

from core.errors import ConflictError
from core.pausepoints import reach
from governance import access
from governance.contracts import Actor, Perm
from governance.errors import PolicyInvalidError
from governance.models import Policy, Workspace
from governance.policy.cases import read_cases
from governance.policy.sources import PolicyLanguage
from governance.selectors.policies import PolicyHeld, policy_held
from governance.services.activity import recorded_as
from governance.services.policies import policy_publish, policy_put
from governance.services.workspaces import workspace_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What was in force (None: the built-in rule decided), and what is; alike: nothing was done."""

    before: PolicyHeld | None
    after: PolicyHeld


def policy_adopt(
    actor: Actor,
    *,
    workspace: Workspace,
    source: str,
    language: PolicyLanguage | str = PolicyLanguage.MATRIX,
    cases: str = "",
    note: str = "",
) -> Adopted:
    """Put a policy in force unless it is; its test cases have to hold.

    Other test cases, or another note, make no version: cases are kept with the draft, a note with
    the version it came with. A draft that says what is neither in force nor given here is
    somebody's work, and is never written over. Of two who adopt the same, one publishes.

    Raises:
        InvalidInputError: It is no policy, or the cases are none; `source` or `cases` says where.
        PolicyCasesFailedError: Test cases fail.
        ConflictError: A draft is in the way.
    """
    for needed in (Perm.POLICY_VIEW, Perm.POLICY_EDIT, Perm.POLICY_PUBLISH):
        access.require(actor, needed, workspace)
    wanted = (source, PolicyLanguage(language).value, cases)
    with recorded_as(actor), transaction.atomic():
        workspace_lock(workspace.pk)
        before = policy_held(actor, workspace)
        reach("policy.before_adopt")
        if before is not None and _content(before) == wanted:
            return Adopted(before=before, after=before)
        draft = Policy.objects.filter(workspace=workspace).first()
        drafted = None if draft is None else (draft.draft, draft.language, draft.cases)
        if drafted != wanted:
            _refuse_overwriting(drafted, before)
            with _placed("cases"):
                if cases.strip():
                    read_cases(cases)
            with _placed("source"):
                policy_put(
                    actor, workspace=workspace, source=source, language=language, cases=cases
                )
        with _placed("source"):
            version = policy_publish(actor, workspace=workspace, note=note)
        after = PolicyHeld(
            source=version.source, language=version.language, cases=cases, note=version.note
        )
        return Adopted(before=before, after=after)


def _content(held: PolicyHeld) -> tuple[str, str, str]:
    return held.source, held.language, held.cases


def _refuse_overwriting(drafted: tuple[str, str, str] | None, held: PolicyHeld | None) -> None:
    """Refuse to write over a draft that is not in force; of test cases alone the answer tells."""
    if drafted is None or (held is not None and drafted[:2] == (held.source, held.language)):
        return
    sentence = "There is a draft that is not in force and says something else; it was kept."
    remedy = "Publish it, or make it say what is in force or what this says, and apply again."
    raise ConflictError(sentence, remedy=remedy, fields={"source": [f"{sentence} {remedy}"]})


@contextmanager
def _placed(field: str) -> Iterator[None]:
    """Say in which of the texts a mistake is; its line and column go into the sentence."""
    try:
        yield
    except PolicyInvalidError as error:
        told = [
            f"{place}: {sentence}" for place, found in error.fields.items() for sentence in found
        ]
        raise PolicyInvalidError(
            error.message,
            remedy=error.remedy,
            fields={field: told or [str(error)]},
            detail=error.detail,
        ) from error
