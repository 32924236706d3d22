"""Policies: what is in force, what was, and for whom a call is made."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from core.errors import NotFoundError
from governance import access
from governance.contracts import Actor, Perm
from governance.models import Membership, Policy, PolicyDifference, PolicyVersion, User, Workspace
from governance.policy.contracts import PolicySubject

_ASKED = Q(is_active=True) | Q(is_shadow=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInForce:
    """The published policy a workspace decides by; `id` names exactly this version."""

    id: UUID
    number: int
    digest: str


def policy_in_force(workspace_id: UUID) -> PolicyInForce | None:
    """Return what is in force now, for the engine; None: the built-in rule decides."""
    row = (
        PolicyVersion.objects.filter(workspace_id=workspace_id, is_active=True)
        .values_list("pk", "number", "digest")
        .first()
    )
    return None if row is None else PolicyInForce(id=row[0], number=row[1], digest=row[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesAsked:
    """What a call is asked of: what decides (None: the built-in rule), and what only watches."""

    deciding: PolicyInForce | None
    shadow: PolicyInForce | None


def policies_asked(workspace_id: UUID) -> PoliciesAsked:
    """Return which policies are asked about a workspace's calls now, for the engine."""
    rows = PolicyVersion.objects.filter(workspace_id=workspace_id).filter(_ASKED)
    found = {
        is_active: PolicyInForce(id=pk, number=number, digest=digest)
        for pk, number, digest, is_active in rows.values_list("pk", "number", "digest", "is_active")
    }
    return PoliciesAsked(deciding=found.get(True), shadow=found.get(False))


def policy_text(version_id: UUID) -> tuple[str, str]:
    """Return the text of a published version and its language, for the engine."""
    return PolicyVersion.objects.values_list("source", "language").get(pk=version_id)


def workspaces_governed(workspace_ids: Collection[UUID]) -> set[UUID]:
    """Return which of these workspaces have a policy in force, or one that watches."""
    rows = PolicyVersion.objects.filter(_ASKED, workspace_id__in=workspace_ids)
    return set(rows.values_list("workspace_id", flat=True))


def policy_get(actor: Actor, workspace: Workspace) -> Policy:
    """Return a workspace's policy with its draft.

    Raises:
        NotFoundError: nobody has written one yet.
    """
    rows = access.scope(actor, Perm.POLICY_VIEW, Policy.objects.select_related("workspace"))
    row = rows.filter(workspace=workspace).first()
    if row is None:
        raise NotFoundError(
            "This workspace has no policy; the built-in rule decides.",
            remedy="Write one, then publish it.",
        )
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyHeld:
    """What a workspace decides by, with the test cases that stand beside it and why it came."""

    source: str
    language: str
    cases: str
    note: str


def policy_held(actor: Actor, workspace: Workspace) -> PolicyHeld | None:
    """Return what is in force; None: the built-in rule decides.

    Its test cases are those of the draft, where that says the same, else those that it was
    published with: cases are written without publishing anything.
    """
    access.require(actor, Perm.POLICY_VIEW, workspace)
    version = PolicyVersion.objects.filter(workspace=workspace, is_active=True).first()
    if version is None:
        return None
    drafts = Policy.objects.filter(
        workspace=workspace, draft=version.source, language=version.language
    )
    cases = drafts.values_list("cases", flat=True).first()
    return PolicyHeld(
        source=version.source,
        language=version.language,
        cases=version.cases if cases is None else cases,
        note=version.note,
    )


def policy_version_list(actor: Actor, workspace: Workspace) -> QuerySet[PolicyVersion]:
    """Return the published versions, newest first."""
    rows = PolicyVersion.objects.select_related("published_by").filter(workspace=workspace)
    return access.scope(actor, Perm.POLICY_VIEW, rows)


def policy_difference_list(actor: Actor, workspace: Workspace) -> QuerySet[PolicyDifference]:
    """Return what shadows of a workspace said otherwise, newest first."""
    rows = PolicyDifference.objects.select_related("version").filter(workspace=workspace)
    return access.scope(actor, Perm.POLICY_VIEW, rows)


def policy_subject(user_id: UUID | None, workspace_id: UUID, *, surface: str = "") -> PolicySubject:
    """Describe a user as policies know people; nobody, when inactive or gone."""
    user = User.objects.filter(pk=user_id, is_active=True).first() if user_id else None
    if user is None:
        return PolicySubject(surface=surface)
    roles = Membership.objects.filter(user=user, workspace_id=workspace_id)
    return PolicySubject(
        user=user.username,
        groups=tuple(sorted(user.groups.values_list("name", flat=True))),
        roles=tuple(sorted(name for name in roles.values_list("roles__name", flat=True) if name)),
        surface=surface,
    )
