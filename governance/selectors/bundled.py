"""What governance has to say in a run's evidence: approvals, policies, entries of the audit chain.

Not narrowed to an actor: whoever calls this has asked.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from governance.models import Approval, AuditEntry, GrantUse, PolicyVersion
from governance.selectors.audit import entry_document, moment


def approvals_of_runs(run_ids: Collection[UUID]) -> Iterator[Approval]:
    """Yield what people were asked about these runs, oldest first, with their votes."""
    rows = Approval.objects.filter(run_id__in=run_ids).order_by("id")
    yield from rows.prefetch_related("votes__user", "votes__for_user")


def approval_document(approval: Approval) -> dict[str, Any]:
    """Return an approval with the facts it was given for and who said what."""
    return {
        "kind": approval.kind,
        "subject": str(approval.subject_id),
        "title": approval.title,
        "question": approval.question,
        "state": approval.state,
        "requester": {"id": _text(approval.requester_id), "name": approval.requester_name},
        "binding": approval.binding,
        "binding_digest": approval.binding_digest,
        "arguments": approval.arguments,
        "edited_arguments": approval.edited_arguments,
        "approvers": approval.approvers,
        "quorum": approval.quorum,
        "choice": approval.choice,
        "rule": approval.rule,
        "policy_version": approval.policy_version,
        "created_at": moment(approval.created_at),
        "expires_at": _moment(approval.expires_at),
        "decided_at": _moment(approval.decided_at),
        "decided_by": {"id": _text(approval.decided_by_id), "name": approval.decided_by_name},
        "reason": approval.reason,
        "surface": approval.surface,
        "used_at": _moment(approval.used_at),
        "votes": [
            {
                "by": vote.user.username,
                "for": vote.for_user.username if vote.for_user else "",
                "verdict": vote.verdict,
                "digest": vote.digest,
                "reason": vote.reason,
                "surface": vote.surface,
                "at": moment(vote.at),
            }
            for vote in approval.votes.all()
        ],
    }


def grant_uses_of_runs(run_ids: Collection[UUID]) -> Iterator[tuple[GrantUse, dict[str, Any]]]:
    """Yield each call that a standing approval answered for, with what that approval said."""
    rows = GrantUse.objects.filter(run_id__in=run_ids).select_related("grant").order_by("id")
    for use in rows:
        grant = use.grant
        yield (
            use,
            {
                "grant": str(grant.pk),
                "call": str(use.subject_id),
                "arguments_digest": use.arguments_digest,
                "at": moment(use.at),
                "tool": grant.tool,
                "agent": grant.agent_name,
                "pattern": grant.pattern,
                "facts": grant.facts,
                "given_by": {"id": str(grant.granted_by_id), "name": grant.granted_by_name},
                "reason": grant.reason,
                "uses_max": grant.uses_max,
                "created_at": moment(grant.created_at),
                "expires_at": moment(grant.expires_at),
            },
        )


def policies_between(
    workspace_id: UUID, since: datetime, until: datetime
) -> Iterator[PolicyVersion]:
    """Yield the versions that were in force at some time from `since` to `until`, oldest first."""
    rows = PolicyVersion.objects.filter(workspace_id=workspace_id, published_at__lte=until)
    before = rows.filter(published_at__lte=since).order_by("-published_at").first()
    wanted = Q(published_at__gt=since)
    if before is not None:
        wanted |= Q(pk=before.pk)
    yield from rows.filter(wanted).order_by("number")


def entries_about(workspace_id: UUID, subjects: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of the workspace's chain about these subjects, by id, in its order."""
    rows = AuditEntry.objects.filter(workspace_id=workspace_id, subject_id__in=subjects)
    for entry in rows.order_by("sequence"):
        yield {**entry_document(entry), "hash": entry.hash}


def _text(identifier: UUID | None) -> str | None:
    return None if identifier is None else str(identifier)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment(at)
