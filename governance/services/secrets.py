"""Secrets: setting, rotating and deleting them. What is set never comes back out of here.

Opening one is for workers alone, in `governance.services.secret_values`.
"""

import hmac
from collections.abc import Collection
from uuid import UUID

from django.conf import settings
from django.db import transaction

from core.errors import InvalidInputError
from core.redaction import known_secrets, redact_text
from core.sealing import seal, unseal
from governance import access
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.errors import SecretChangedError, SecretElsewhereError, SecretMissingError
from governance.models import Secret, Workspace
from governance.secrets.names import NAME_FORM, NAME_REGEX
from governance.secrets.places import place_of
from governance.selectors.secrets import secret_names
from governance.selectors.workspaces import workspace_by_id
from governance.services.activity import recorded_as
from governance.services.audit import audit_append
from governance.services.known_secrets import secrets_changed

PURPOSE = "workspace-secret"
MIN_VALUE_CHARS = 8
MAX_VALUE_CHARS = 32_768
MAX_DESCRIPTION_CHARS = 500


def secret_set(
    actor: Actor,
    *,
    workspace: Workspace,
    name: str,
    value: str,
    description: str | None = None,
    expected_version: int | None = None,
) -> Secret:
    """Create the secret, or give it another value; the same value again changes nothing.

    Of two at once the later one counts, unless it names the version it has seen: `expected_version`
    0 wants none to be there.

    Raises:
        InvalidInputError: The name or the value cannot be kept.
        SecretChangedError: It has another version than the expected one.
        SecretElsewhereError: The site takes it from outside.
    """
    access.require(actor, Perm.SECRET_EDIT, workspace)
    _check_name(name)
    _refuse_elsewhere(workspace, name)
    _check_value(value)
    _check_description(description)
    with recorded_as(actor), transaction.atomic():
        row = _locked(workspace, name)
        _expect(name, row, expected_version)
        if row is None:
            row = Secret(workspace=workspace, name=name, description=description or "")
            _take(row, actor, value)
            row.save(force_insert=True)
            _audit(actor, row, "created")
            return row
        is_same = _holds(row, value)
        if is_same and description in (None, row.description):
            return row
        row.description = row.description if description is None else description
        if not is_same:
            row.version += 1
            _take(row, actor, value)
        row.save()
        _audit(actor, row, "described" if is_same else "changed")
        return row


def secret_rotate(
    actor: Actor, *, secret: Secret, value: str, expected_version: int | None = None
) -> Secret:
    """Replace the value of a secret that is there by another one.

    Raises:
        InvalidInputError: The value cannot be kept, or is the one it has.
        SecretChangedError: It has another version than the expected one, or is gone.
    """
    access.require(actor, Perm.SECRET_EDIT, secret.workspace_id)
    _check_value(value)
    with recorded_as(actor), transaction.atomic():
        _lock(secret.workspace_id)
        row = Secret.objects.select_for_update().filter(pk=secret.pk).first()
        _expect(secret.name, row, secret.version if row is None else expected_version)
        assert row is not None, "a secret that is gone has no version"
        if _holds(row, value):
            raise _wrong("value", "This is the value it has already; a rotation needs another.")
        row.version += 1
        _take(row, actor, value)
        row.save()
        _audit(actor, row, "rotated")
        return row


def secret_describe(actor: Actor, *, secret: Secret, description: str) -> Secret:
    """Change what is said of a secret; its value and version stay."""
    access.require(actor, Perm.SECRET_EDIT, secret.workspace_id)
    _check_description(description)
    with recorded_as(actor), transaction.atomic():
        row = Secret.objects.select_for_update().filter(pk=secret.pk).first()
        if row is None:
            raise secret_missing(secret.name)
        if row.description != description:
            row.description = description
            row.save(update_fields=["description", "updated_at"])
            _audit(actor, row, "described")
        return row


def secret_delete(actor: Actor, *, secret: Secret) -> None:
    """Delete a secret; what names it fails from now on. Deleting twice is the same as once."""
    access.require(actor, Perm.SECRET_EDIT, secret.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = Secret.objects.select_for_update().filter(pk=secret.pk).first()
        if row is None:
            return
        _audit(actor, row, "deleted")
        row.delete()


def secrets_referable(
    actor: Actor, *, workspace_id: UUID, names: Collection[str], field: str
) -> None:
    """Check that the actor may have these secrets used by something they configure.

    Whoever configures where a secret is sent can have it sent to themselves, so it takes the
    permission to see secrets.

    Raises:
        PermissionDeniedError: The actor may not see secrets.
        InvalidInputError: There is no such secret; `field` says where it is named.
    """
    if not names:
        return
    access.require(actor, Perm.SECRET_VIEW, workspace_id)
    workspace = workspace_by_id(workspace_id).name
    missing = [
        name
        for name in sorted(set(names) - secret_names(workspace_id))
        if place_of(settings.SECRET_PLACES, workspace, name) is None
    ]
    if missing:
        error = secret_missing(missing[0])
        raise InvalidInputError(error.message, remedy=error.remedy, fields={field: [error.message]})


def secret_missing(name: str) -> SecretMissingError:
    return SecretMissingError(
        f"There is no secret {name!r} in this workspace.",
        remedy=f"Set it (`agentry secrets set {name}`), or correct the name.",
    )


def _locked(workspace: Workspace, name: str) -> Secret | None:
    """Return the row, locked; with the workspace locked too, so that two do not create it."""
    _lock(workspace.pk)
    return Secret.objects.select_for_update().filter(workspace=workspace, name=name).first()


def _lock(workspace_id: UUID) -> None:
    """Lock the workspace, always before its secrets: a value that is written changes its stamp."""
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace_id)


def _take(row: Secret, actor: Actor, value: str) -> None:
    known_secrets.remember(value)
    secrets_changed(row.workspace_id)
    row.sealed_value = seal(value, workspace_id=row.workspace_id, name=row.name, purpose=PURPOSE)
    row.updated_by_id = actor.user_id


def _holds(row: Secret, value: str) -> bool:
    """Say whether `value` is the stored one. A wrong guess replaces it, so nobody asks twice."""
    stored = unseal(row.sealed_value, workspace_id=row.workspace_id, name=row.name, purpose=PURPOSE)
    return hmac.compare_digest(stored.encode(), value.encode())


def _expect(name: str, row: Secret | None, version: int | None) -> None:
    found = 0 if row is None else row.version
    if version is None or version == found:
        return
    now = f"version {found}" if found else "not there"
    raise SecretChangedError(
        f"The secret {name!r} is {now}, not version {version}."
        if version
        else f"The secret {name!r} is there already, in version {found}.",
        remedy="Look at it again and decide anew.",
        detail={"version": found},
    )


def _refuse_elsewhere(workspace: Workspace, name: str) -> None:
    place = place_of(settings.SECRET_PLACES, workspace.name, name)
    if place is not None:
        raise SecretElsewhereError(
            f"The site takes the secret {name!r} from its {place.kind}, not from the database.",
            remedy="Change it there, or have the site's AGENTRY_SECRET_SOURCES leave it out.",
        )


def _check_name(name: str) -> None:
    if not NAME_REGEX.fullmatch(name):
        shown = redact_text(name[:80])  # people put a value where its name belongs
        raise _wrong("name", f"{shown!r} cannot be the name of a secret. {NAME_FORM}")
    if redact_text(name) != name:
        raise _wrong("name", "The name looks like a secret itself, and names are shown.")


def _check_value(value: str) -> None:
    if not MIN_VALUE_CHARS <= len(value) <= MAX_VALUE_CHARS:
        raise _wrong(
            "value",
            f"A secret has {MIN_VALUE_CHARS} to {MAX_VALUE_CHARS:,} characters; what is shorter "
            "cannot be kept out of logs.",
        )
    if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise _wrong("value", "A secret is text without NUL and lone surrogates.")


def _check_description(description: str | None) -> None:
    if description is not None and len(description) > MAX_DESCRIPTION_CHARS:
        raise _wrong("description", f"At most {MAX_DESCRIPTION_CHARS} characters.")


def _wrong(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: [sentence]})


def _audit(actor: Actor, row: Secret, what: str) -> None:
    audit_append(
        actor,
        action=AuditAction.SECRET_CHANGED,
        workspace_id=row.workspace_id,
        subject=AuditSubject(kind="secret", id=str(row.pk), label=row.name),
        payload={"what": what, "version": row.version},
    )
