"""Users: people and service accounts. Creating them is a superuser's; they begin with nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from core.errors import ConflictError, InvalidInputError, NotFoundError
from core.events import publish
from core.redaction import JSON
from governance.access import AccessChanged
from governance.contracts import Actor, AuditAction, AuditSubject
from governance.errors import NameTakenError
from governance.models import User
from governance.services.activity import recorded_as
from governance.services.audit import audit_append
from governance.services.workspaces import require_site_admin


def user_create(
    actor: Actor,
    *,
    username: str,
    password: str | None = None,
    email: str = "",
    is_service: bool = False,
    is_staff: bool = False,
    is_superuser: bool = False,
) -> User:
    """Create a user without any membership. A service account has no password.

    Raises:
        InvalidInputError: a weak or missing password, or one for a service account.
        NameTakenError: the name exists.
    """
    require_site_admin(actor, "create users")
    user = User(
        username=username,
        email=email,
        is_service=is_service,
        is_staff=is_staff or is_superuser,
        is_superuser=is_superuser,
    )
    _set_password(user, password)
    with recorded_as(actor), transaction.atomic():
        if User.objects.filter(username=username).exists():
            raise NameTakenError(f"The user name {username} is taken.", remedy="Use another name.")
        user.full_clean()
        user.save()
        account_record(actor, user, before=None)
    return user


def user_update(
    actor: Actor,
    *,
    user: User,
    email: str | None = None,
    is_active: bool | None = None,
    is_staff: bool | None = None,
    password: str | None = None,
) -> User:
    """Change a user. A deactivated one loses sessions and tokens at once.

    Raises:
        ConflictError: superusers cannot deactivate themselves.
    """
    require_site_admin(actor, "change users")
    with recorded_as(actor), transaction.atomic():
        row = User.objects.select_for_update().get(pk=user.pk)
        before = account_state(row)
        if is_active is False and row.pk == actor.user_id:
            raise ConflictError(
                "You cannot deactivate yourself.", remedy="Ask another superuser to do it."
            )
        if password is not None:
            _set_password(row, password)
        row.email = row.email if email is None else email
        row.is_active = row.is_active if is_active is None else is_active
        row.is_staff = row.is_staff if is_staff is None else is_staff
        row.full_clean()
        row.save()
        publish(AccessChanged(user_ids=frozenset({row.pk})))
        account_record(actor, row, before=before, is_password_new=password is not None)
    return row


def password_set(actor: Actor, *, username: str, password: str) -> User:
    """Give a user a new password, by name.

    Raises:
        NotFoundError: No user has that name.
        InvalidInputError: The password is weak, or the user is a service account.
    """
    user = User.objects.filter(username=username).first()
    if user is None:
        raise NotFoundError(f"There is no user {username!r}.", remedy="Check the name.")
    return user_update(actor, user=user, password=password)


def account_state(user: User) -> dict[str, JSON]:
    """Return what an account may be used for."""
    return {
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "is_service": user.is_service,
    }


def account_record(
    actor: Actor,
    user: User,
    *,
    before: dict[str, JSON] | None,
    is_password_new: bool = False,
) -> None:
    """Append what an account may be used for now, to the site's chain; before None: it is new."""
    after = account_state(user)
    if before == after and not is_password_new:
        return
    audit_append(
        actor,
        action=AuditAction.PERMISSION_CHANGED,
        workspace_id=None,
        subject=AuditSubject(kind="user", id=str(user.pk), label=user.username),
        payload={"before": before, "after": after, "is_password_new": is_password_new},
    )


@contextmanager
def password_recorded(actor: Actor, *, user_id: UUID) -> Iterator[None]:
    """Append to the site's chain that the user's password is another, where the block has made it
    so; for forms of Django that store it themselves. Both are stored or neither."""
    with recorded_as(actor), transaction.atomic():
        before = User.objects.select_for_update().get(pk=user_id)
        yield
        after = User.objects.get(pk=user_id)
        if after.password != before.password:
            account_record(actor, after, before=account_state(before), is_password_new=True)


def _set_password(user: User, password: str | None) -> None:
    if user.is_service:
        if password is not None:
            raise _bad_password("A service account signs in by token and has no password.")
        user.set_unusable_password()
        return
    if password is None:
        raise _bad_password("A person needs a password.")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise _bad_password(" ".join(error.messages)) from None
    user.set_password(password)


def _bad_password(sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={"password": [sentence]})
