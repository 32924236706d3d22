"""Policies: writing the draft, testing it, publishing it or asking it as a shadow."""

import hashlib
from dataclasses import dataclass

import msgspec
from django.db import transaction
from django.db.models import QuerySet

from core import clock
from core.errors import ConflictError, InvalidInputError
from governance import access
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.errors import PolicyCasesFailedError, PolicyInvalidError
from governance.models import Policy, PolicyVersion, Workspace
from governance.policy.cases import ORDINARY, CaseFailure, PolicyCase, read_cases, run_cases
from governance.policy.contracts import PolicyEngine
from governance.policy.sources import PolicyLanguage
from governance.services.activity import recorded_as
from governance.services.audit import audit_append
from governance.services.policy_engines import policy_check, policy_engine
from governance.services.workspaces import workspace_lock

MAX_SOURCE_CHARS = 256_000
MAX_TOLD_FAILURES = 50

__all__ = [
    "MAX_SOURCE_CHARS", "CasesRun", "draft_digest", "policy_cases_run", "policy_engine",
    "policy_publish", "policy_put", "policy_shadow_end", "policy_tried",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesRun:
    """What came of running test cases against a policy."""

    count: int
    failures: tuple[CaseFailure, ...]


def policy_put(
    actor: Actor,
    *,
    workspace: Workspace,
    source: str,
    language: PolicyLanguage | str | None = None,
    cases: str | None = None,
) -> Policy:
    """Write the draft; nothing is decided by it until it is published.

    A language or cases that are not given stay as they are; a new policy is a matrix.

    Raises:
        InvalidInputError: It is no policy, or the cases are none; says where.
    """
    access.require(actor, Perm.POLICY_EDIT, workspace)
    with recorded_as(actor), transaction.atomic():
        workspace_lock(workspace.pk)  # two do not write the first draft
        policy = Policy.objects.filter(workspace=workspace).first()
        row = policy or Policy(workspace=workspace)
        row.draft = source
        if language is not None:
            row.language = PolicyLanguage(language).value
        if cases is not None:
            row.cases = cases
        _check(row.draft, row.language)
        _cases(row.cases)
        if policy is None:
            row.save(force_insert=True)
        else:
            row.save(update_fields=["draft", "language", "cases", "updated_at"])
        return row


def policy_cases_run(
    actor: Actor,
    *,
    workspace: Workspace,
    cases: str | None = None,
    source: str | None = None,
    language: PolicyLanguage | str = PolicyLanguage.MATRIX,
) -> CasesRun:
    """Run test cases; changes nothing. What is not given is the draft's.

    Raises:
        InvalidInputError: There is no draft, or something is not as it should be written.
    """
    access.require(actor, Perm.POLICY_VIEW, workspace)
    if source is None or cases is None:
        draft = _draft(workspace)
        cases = draft.cases if cases is None else cases
        if source is None:
            source, language = draft.draft, draft.language
    _check(source, language)
    read = _cases(cases)
    return CasesRun(count=len(read), failures=run_cases(policy_engine(source, language), read))


def policy_tried(
    actor: Actor,
    *,
    workspace: Workspace,
    source: str | None = None,
    language: PolicyLanguage | str = PolicyLanguage.MATRIX,
) -> PolicyEngine:
    """Return what answers by a policy that is not published: this one, or the draft.

    Raises:
        InvalidInputError: There is no draft, or it is no policy.
    """
    access.require(actor, Perm.POLICY_VIEW, workspace)
    if source is None:
        draft = _draft(workspace)
        source, language = draft.draft, draft.language
    _check(source, language)
    return policy_engine(source, language)


def policy_publish(
    actor: Actor,
    *,
    workspace: Workspace,
    note: str = "",
    as_shadow: bool = False,
    despite_failures: bool = False,
    seen_digest: str | None = None,
) -> PolicyVersion:
    """Put the draft in force: calls that have not begun are judged by it from now on.

    As a shadow it is asked beside what decides, decides nothing, and replaces the shadow before
    it. Its test cases are run first; `despite_failures` publishes when some fail, and the audit
    chain says so. Publishing what is in force, or a shadow, already changes nothing. Approvals
    given under another version in force do not hold any more. `seen_digest` is the `draft_digest`
    of what whoever publishes has looked at; without it whatever the draft says is published.

    Raises:
        InvalidInputError: There is no draft, or it is no policy.
        PolicyCasesFailedError: Test cases fail.
        ConflictError: Somebody changed the draft meanwhile.
    """
    access.require(actor, Perm.POLICY_PUBLISH, workspace)
    draft = _draft(workspace)
    _require_seen(draft, seen_digest)
    _check(draft.draft, draft.language)
    _require_answer(draft.draft, draft.language)
    read = _cases(draft.cases)
    failures = run_cases(policy_engine(draft.draft, draft.language), read)
    if failures and not despite_failures:
        raise _failed(failures, len(read))
    with recorded_as(actor), transaction.atomic():
        workspace_lock(workspace.pk)
        now_drafted = _draft(workspace)
        if _content(now_drafted) != _content(draft):
            sentence = "Somebody changed the draft while it was being published."
            raise ConflictError(sentence, remedy="Look at it and publish it again.")
        versions = PolicyVersion.objects.filter(workspace=workspace)
        digest = _digest(draft)
        already = versions.filter(is_shadow=True) if as_shadow else versions.filter(is_active=True)
        if (same := already.filter(digest=digest).first()) is not None:
            return same
        _step_aside(versions, digest, as_shadow=as_shadow)
        version = _published(actor, draft, versions, note, as_shadow, len(failures))
        audit_append(
            actor,
            action=AuditAction.POLICY_PUBLISHED,
            workspace_id=workspace.pk,
            subject=AuditSubject(kind="policy", id=str(version.pk), label=f"v{version.number}"),
            payload={
                "digest": digest,
                "language": version.language,
                "mode": "shadow" if as_shadow else "in force",
                "cases": len(read),
                "failing_cases": len(failures),
                "despite_failures": bool(failures),
                "note": note,
            },
        )
        return version


def policy_shadow_end(actor: Actor, *, workspace: Workspace) -> PolicyVersion | None:
    """Ask the shadow no more; what it said otherwise stays. None: there was none."""
    access.require(actor, Perm.POLICY_PUBLISH, workspace)
    with recorded_as(actor), transaction.atomic():
        workspace_lock(workspace.pk)
        version = PolicyVersion.objects.filter(workspace=workspace, is_shadow=True).first()
        if version is None:
            return None
        PolicyVersion.objects.filter(pk=version.pk).update(is_shadow=False)
        version.is_shadow = False
        audit_append(
            actor,
            action=AuditAction.POLICY_PUBLISHED,
            workspace_id=workspace.pk,
            subject=AuditSubject(kind="policy", id=str(version.pk), label=f"v{version.number}"),
            payload={"digest": version.digest, "mode": "shadow ended"},
        )
        return version


def _step_aside(versions: "QuerySet[PolicyVersion]", digest: str, *, as_shadow: bool) -> None:
    """Make room for the new version. What takes force is no shadow of itself."""
    if as_shadow:
        versions.filter(is_shadow=True).update(is_shadow=False)
        return
    versions.filter(is_active=True).update(is_active=False)
    versions.filter(is_shadow=True, digest=digest).update(is_shadow=False)


def _published(
    actor: Actor,
    draft: Policy,
    versions: "QuerySet[PolicyVersion]",
    note: str,
    as_shadow: bool,
    failing: int,
) -> PolicyVersion:
    newest = versions.order_by("-number").values_list("number", flat=True).first()
    return PolicyVersion.objects.create(
        workspace=draft.workspace,
        number=(newest or 0) + 1,
        source=draft.draft,
        language=draft.language,
        cases=draft.cases,
        failing_cases=failing,
        digest=_digest(draft),
        note=note,
        is_active=not as_shadow,
        is_shadow=as_shadow,
        published_at=clock.now(),
        published_by_id=actor.user_id,
    )


def _draft(workspace: Workspace) -> Policy:
    policy = Policy.objects.filter(workspace=workspace).first()
    if policy is None:
        raise InvalidInputError("There is no draft.", remedy="Write one first.")
    return policy


def _require_seen(draft: Policy, seen_digest: str | None) -> None:
    if seen_digest is not None and seen_digest != draft_digest(draft):
        sentence = "Somebody changed the draft since you looked at it; nothing was published."
        raise ConflictError(sentence, remedy="Look at what it says now and publish it again.")


def draft_digest(policy: Policy) -> str:
    """Name what the draft says: its text, its language and its test cases."""
    return hashlib.sha256(msgspec.json.encode(_content(policy))).hexdigest()


def _content(policy: Policy) -> tuple[str, str, str]:
    return policy.draft, policy.language, policy.cases


def _digest(policy: Policy) -> str:
    return hashlib.sha256(policy.draft.encode()).hexdigest()


def _check(source: str, language: PolicyLanguage | str) -> None:
    if not source.strip() or len(source) > MAX_SOURCE_CHARS:
        sentence = f"A policy has 1 to {MAX_SOURCE_CHARS} characters."
        raise InvalidInputError(sentence, fields={"source": [sentence]})
    policy_check(source, language)


def _cases(text: str) -> tuple[PolicyCase, ...]:
    return read_cases(text) if text.strip() else ()


def _require_answer(source: str, language: PolicyLanguage | str) -> None:
    """Refuse what the site's engine cannot ask: it would deny every call."""
    answer = policy_engine(source, language).decide(ORDINARY)
    if answer.is_abnormal:
        raise PolicyInvalidError(
            f"The policy gives no answer to an ordinary call. {answer.reason}",
            remedy="Mend what is named, or see what the policy server says, and publish again.",
        )


def _failed(failures: tuple[CaseFailure, ...], count: int) -> PolicyCasesFailedError:
    told = [str(failure) for failure in failures[:MAX_TOLD_FAILURES]]
    return PolicyCasesFailedError(
        f"{len(failures)} of {count} test cases of the policy fail. First: {told[0]}.",
        remedy="Mend the policy or the cases, or publish despite the failures; that is recorded.",
        fields={"cases": told},
        detail={"failures": told},
    )
