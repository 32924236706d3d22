"""Policies: writing the draft, publishing it, and the engine that answers by a published one."""

import hashlib

from django.db import transaction

from core import clock
from core.errors import InvalidInputError
from governance import access
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.models import Policy, PolicyVersion, Workspace
from governance.policy.contracts import PolicyEngine
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from governance.services.activity import recorded_as
from governance.services.audit import audit_append

MAX_SOURCE_CHARS = 256_000


def policy_put(actor: Actor, *, workspace: Workspace, source: str) -> Policy:
    """Write the draft; nothing is decided by it until it is published.

    Raises:
        InvalidInputError: It is no policy; says where.
    """
    access.require(actor, Perm.POLICY_EDIT, workspace)
    _check(source)
    with recorded_as(actor), transaction.atomic():
        policy = Policy.objects.select_for_update().filter(workspace=workspace).first()
        if policy is None:
            return Policy.objects.create(workspace=workspace, draft=source)
        policy.draft = source
        policy.save(update_fields=["draft", "updated_at"])
        return policy


def policy_publish(actor: Actor, *, workspace: Workspace, note: str = "") -> PolicyVersion:
    """Put the draft in force: calls that have not begun are judged by it from now on.

    Publishing what is in force already changes nothing. Approvals given under another version do
    not hold any more.

    Raises:
        InvalidInputError: There is no draft, or it is no policy.
    """
    access.require(actor, Perm.POLICY_PUBLISH, workspace)
    with recorded_as(actor), transaction.atomic():
        Workspace.objects.select_for_update().get(pk=workspace.pk)
        policy = Policy.objects.filter(workspace=workspace).first()
        if policy is None:
            sentence = "There is no draft to publish."
            raise InvalidInputError(sentence, remedy="Write one first.")
        _check(policy.draft)
        digest = hashlib.sha256(policy.draft.encode()).hexdigest()
        versions = PolicyVersion.objects.filter(workspace=workspace)
        active = versions.filter(is_active=True).first()
        if active is not None and active.digest == digest:
            return active
        newest = versions.order_by("-number").values_list("number", flat=True).first()
        versions.filter(is_active=True).update(is_active=False)
        version = PolicyVersion.objects.create(
            workspace=workspace,
            number=(newest or 0) + 1,
            source=policy.draft,
            digest=digest,
            note=note,
            published_at=clock.now(),
            published_by_id=actor.user_id,
        )
        audit_append(
            actor,
            action=AuditAction.POLICY_PUBLISHED,
            workspace_id=workspace.pk,
            subject=AuditSubject(kind="policy", id=str(version.pk), label=f"v{version.number}"),
            payload={"digest": digest, "note": note},
        )
        return version


def _check(source: str) -> None:
    if not source.strip() or len(source) > MAX_SOURCE_CHARS:
        sentence = f"A policy has 1 to {MAX_SOURCE_CHARS} characters."
        raise InvalidInputError(sentence, fields={"source": [sentence]})
    policy_engine(source)


def policy_engine(source: str) -> PolicyEngine:
    """Build what answers by this policy; keep it, building is dear.

    The matrix is judged by its own meaning, in this process; the module it compiles to gives the
    same answers and names the version.

    Raises:
        PolicyInvalidError: It is no policy; every place is named.
    """
    matrix = parse_matrix(source)
    return MatrixEngine(matrix, digest=compile_matrix(matrix).digest)
