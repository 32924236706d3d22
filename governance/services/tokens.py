"""API tokens: issuing (the secret is shown once) and revoking."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from core import clock
from core.errors import InvalidInputError, NotFoundError, PermissionDeniedError
from core.events import publish
from governance import access
from governance.access import TOKEN_PREFIX, AccessChanged
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.errors import EscalationError
from governance.models import ApiToken, User, Workspace
from governance.services.activity import recorded_as
from governance.services.audit import audit_append
from governance.services.roles import perms_from
from governance.services.workspaces import require_site_admin

_SECRET_BYTES = 32
_SHOWN_PREFIX_LENGTH = 12
MAX_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A new token with its secret; the secret is nowhere else and cannot be shown again."""

    token: ApiToken
    secret: str

    def __repr__(self) -> str:
        return f"IssuedToken({self.token.prefix}…)"


def token_issue(
    actor: Actor,
    *,
    name: str,
    workspace: Workspace | None = None,
    scopes: Collection[str] | None = None,
    expires_at: datetime | None = None,
    user_id: UUID | None = None,
) -> IssuedToken:
    """Issue a token that may do at most what its owner may, now and later.

    `scopes` None means all the owner may. A token issues only tokens as narrow and as short-lived
    as itself. Issuing for somebody else (`user_id`), such as a service account, is a superuser's.

    Raises:
        EscalationError: a scope, workspace or lifetime beyond the actor's own.
        InvalidInputError: no name, an unknown scope, or an expiry in the past.
    """
    _refuse_bad_name(name)
    if expires_at is not None and expires_at <= clock.now():
        sentence = "The expiry lies in the past."
        raise InvalidInputError(sentence, fields={"expires_at": [sentence]})
    wanted = None if scopes is None else _scopes_from(scopes)
    with recorded_as(actor), transaction.atomic():
        owner = _owner(actor, user_id)
        if workspace is not None:
            _require_seen(actor, owner, workspace)
        if wanted is not None:
            _refuse_more_than_owner(owner, wanted, workspace)
        _refuse_wider_than_issuer(actor, workspace, wanted, expires_at)
        secret = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        token = ApiToken.objects.create(
            user=owner,
            workspace=workspace,
            name=name.strip(),
            prefix=secret[:_SHOWN_PREFIX_LENGTH],
            digest=access.digest_of(secret),
            scopes=None if wanted is None else sorted(wanted),
            expires_at=expires_at,
        )
        _record(actor, token, AuditAction.TOKEN_ISSUED)
    return IssuedToken(token=token, secret=secret)


def token_revoke(actor: Actor, *, token: ApiToken) -> ApiToken:
    """End a token: one's own, or with `token.manage` in the workspace it is bound to.

    Revoking twice keeps the first time. Caches of this process forget the token at commit.

    Raises:
        NotFoundError: the actor may not know the token.
    """
    if not _may_revoke(actor, token):
        raise NotFoundError("There is no such token.", remedy="See the list of tokens.")
    with recorded_as(actor), transaction.atomic():
        row = ApiToken.objects.select_for_update().get(pk=token.pk)
        if row.revoked_at is None:
            row.revoked_at = clock.now()
            row.save(update_fields=["revoked_at"])
            _record(actor, row, AuditAction.TOKEN_REVOKED)
        publish(AccessChanged(token_ids=frozenset({row.pk})))
    return row


def _record(actor: Actor, token: ApiToken, action: AuditAction) -> None:
    audit_append(
        actor,
        action=action,
        workspace_id=token.workspace_id,
        subject=AuditSubject(kind="token", id=str(token.pk), label=token.name),
        payload={
            "owner": token.user.username,
            "scopes": None if token.scopes is None else [*token.scopes],
            "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
        },
    )


def _may_revoke(actor: Actor, token: ApiToken) -> bool:
    if actor.is_system or actor.token_id == token.pk:
        return True
    if actor.user_id == token.user_id and actor.workspace_id in {None, token.workspace_id}:
        return actor.scopes is None or Perm.TOKEN_MANAGE in actor.scopes
    if token.workspace_id is not None:
        return access.can(actor, Perm.TOKEN_MANAGE, token.workspace_id)
    return actor.is_superuser and actor.scopes is None and actor.workspace_id is None


def _owner(actor: Actor, user_id: UUID | None) -> User:
    owner_id = user_id or actor.user_id
    if owner_id != actor.user_id:
        require_site_admin(actor, "issue tokens for somebody else")
    owner = None
    if owner_id is not None:
        owner = User.objects.filter(pk=owner_id, is_active=True).first()
    if owner is None:
        raise NotFoundError("There is no such active user.", remedy="Check the user id.")
    return owner


def _require_seen(actor: Actor, owner: User, workspace: Workspace) -> None:
    owned = access.actor_of_user(owner)
    if not (access.sees(actor, workspace) and access.sees(owned, workspace)):
        raise access.workspace_missing(actor)


def _refuse_more_than_owner(
    owner: User, wanted: frozenset[Perm], workspace: Workspace | None
) -> None:
    owned = access.actor_of_user(owner)
    if workspace is not None:
        missing = wanted - access.permissions_of(owned, workspace)
    else:
        missing = frozenset(
            perm for perm in wanted if not access.permitted_workspace_ids(owned, perm).exists()
        )
        if owned.is_superuser:
            missing = frozenset()
    if missing:
        names = ", ".join(sorted(missing))
        raise EscalationError(
            f"A token cannot have more than its owner {owner.username}: {names}.",
            remedy="Leave these scopes out.",
            detail={"missing": sorted(missing)},
        )


def _refuse_wider_than_issuer(
    actor: Actor,
    workspace: Workspace | None,
    wanted: frozenset[Perm] | None,
    expires_at: datetime | None,
) -> None:
    """A stolen narrow token must not turn into a wide or a lasting one."""
    if actor.token_id is None:
        return
    issuer = ApiToken.objects.filter(pk=actor.token_id, revoked_at__isnull=True).first()
    if issuer is None:
        raise PermissionDeniedError("The token in use has ended.", remedy="Sign in again.")
    too_wide = []
    if actor.scopes is not None and (wanted is None or not wanted <= actor.scopes):
        too_wide.append("scopes")
    if actor.workspace_id is not None and (workspace is None or workspace.pk != actor.workspace_id):
        too_wide.append("workspace")
    if issuer.expires_at is not None and (expires_at is None or expires_at > issuer.expires_at):
        too_wide.append("expires_at")
    if too_wide:
        places = ", ".join(too_wide)
        raise EscalationError(
            f"A token cannot issue a wider one; too wide: {places}.",
            remedy="Narrow these to the token in use, or sign in as its owner.",
            detail={"missing": too_wide},
        )


def _scopes_from(scopes: Collection[str]) -> frozenset[Perm]:
    try:
        return perms_from(scopes)
    except InvalidInputError as error:
        raise InvalidInputError(
            error.message, remedy=error.remedy, fields={"scopes": [error.message]}
        ) from None


def _refuse_bad_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME_LENGTH:
        sentence = f"A token needs a name of 1 to {MAX_NAME_LENGTH} characters."
        raise InvalidInputError(sentence, fields={"name": [sentence]})
