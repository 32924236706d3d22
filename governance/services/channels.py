"""Channels: where news goes. The signing secret is sealed, and shown once when it is made here."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack
from urllib.parse import urlsplit
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from core.errors import InvalidInputError
from core.redaction import known_secrets
from core.sealing import SealBrokenError, seal
from governance import access
from governance.channels.signatures import is_secret, new_secret
from governance.contracts import (
    Actor,
    AuditAction,
    AuditSubject,
    ChannelEvent,
    ChannelKind,
    Perm,
)
from governance.errors import NameTakenError
from governance.models import Channel, ChannelIdentity, Membership, User, Workspace
from governance.models.workspace import NAME_PATTERN
from governance.secrets.names import references
from governance.selectors.channels import SECRET_PURPOSE, channel_secret
from governance.services.activity import recorded_as
from governance.services.audit import audit_append
from governance.services.known_secrets import secrets_changed
from governance.services.workspaces import workspace_lock

MAX_ADDRESSES = 50
MAX_IDENTITIES = 1_000
TOLD_OF = tuple(event for event in ChannelEvent if event is not ChannelEvent.TEST)


class ChannelFields(TypedDict, total=False):
    url: str
    addresses: Sequence[str]
    events: Sequence[str]
    acts_as: str | None
    identities: Mapping[str, str]
    is_enabled: bool
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeChannel:
    """`secret` is there only when it was made here just now; nobody can read it again."""

    channel: Channel
    secret: str = ""


def channel_create(
    actor: Actor, *, workspace: Workspace, name: str, kind: str, **fields: Unpack[ChannelFields]
) -> MadeChannel:
    """Make a channel.

    Raises:
        NameTakenError: The workspace has a channel of this name.
        InvalidInputError: Something given cannot work.
    """
    access.require(actor, Perm.CHANNEL_EDIT, workspace)
    try:
        NAME_PATTERN(name)
    except ValidationError as error:
        raise _wrong("name", error.messages[0]) from None
    if kind not in list(ChannelKind):
        raise _wrong("kind", f"Choose one of: {', '.join(ChannelKind)}.")
    with recorded_as(actor), transaction.atomic():
        workspace_lock(workspace.pk)
        if Channel.objects.filter(workspace=workspace, name=name).exists():
            raise NameTakenError(
                f"There is a channel {name!r} already.", remedy="Use another name."
            )
        channel = Channel(workspace=workspace, name=name, kind=kind)
        fields.setdefault("events", [event.value for event in TOLD_OF])
        return _written(actor, channel, fields)


def channel_update(
    actor: Actor, *, channel: Channel, **fields: Unpack[ChannelFields]
) -> MadeChannel:
    """Change what is given. `secret` empty: make a new one."""
    access.require(actor, Perm.CHANNEL_EDIT, channel.workspace_id)
    with recorded_as(actor), transaction.atomic():
        workspace_lock(channel.workspace_id)
        row = Channel.objects.select_for_update().get(pk=channel.pk)
        return _written(actor, row, fields)


def channel_secret_stays(actor: Actor, *, channel: Channel, secret: str) -> bool:
    """Say whether giving this secret changes nothing; takes what giving another one takes, so that
    nobody finds it out by trying. One that cannot be opened any more is another one."""
    access.require(actor, Perm.CHANNEL_EDIT, channel.workspace_id)
    _refuse_lending(actor, channel, {"secret": secret})
    try:
        stored = channel_secret(channel)
    except SealBrokenError:
        return False
    return hmac.compare_digest(stored.encode(), secret.encode())


def channel_delete(actor: Actor, *, channel: Channel) -> None:
    """Delete it with its deliveries, also those that are still to be sent."""
    access.require(actor, Perm.CHANNEL_EDIT, channel.workspace_id)
    with recorded_as(actor), transaction.atomic():
        _record(actor, channel, "deleted")
        channel.delete()


def _written(actor: Actor, row: Channel, fields: ChannelFields) -> MadeChannel:
    if "url" in fields:
        row.url = _url(fields["url"])
    if "addresses" in fields:
        row.addresses = _addresses(fields["addresses"])
    if "events" in fields:
        row.events = _events(fields["events"])
    if "acts_as" in fields:
        row.acts_as = _member(row.workspace_id, "acts_as", fields["acts_as"])
    row.is_enabled = fields.get("is_enabled", row.is_enabled)
    _refuse_unfit(row)
    made = _sealed(row, fields.get("secret"))
    row.save()
    if "identities" in fields:
        _identities(row, fields["identities"])
    _refuse_lending(actor, row, fields)
    _record(actor, row, "written")
    return MadeChannel(channel=row, secret=made)


def _sealed(row: Channel, given: str | None) -> str:
    """Seal the secret; returns the one that was made here, if one was."""
    if row.kind == ChannelKind.EMAIL.value:
        if given is not None:
            raise _wrong("secret", "A channel for e-mail has no secret.")
        return ""
    if given and references(given):
        raise _wrong("secret", "Give the secret itself; a channel does not look one up.")
    is_needed = given is not None or row.sealed_secret is None
    if not is_needed:
        return ""
    made = ""
    if row.kind == ChannelKind.SLACK.value:
        if not given:
            raise _wrong("secret", "Give the signing secret of the Slack app.")
        secret = given
    elif given:
        if not is_secret(given):
            raise _wrong("secret", "Give 24 to 64 bytes in base64, or nothing to have one made.")
        secret = given
    else:
        secret = made = new_secret()
    known_secrets.remember(secret)
    secrets_changed(row.workspace_id)
    row.sealed_secret = seal(
        secret, workspace_id=row.workspace_id, name=str(row.pk), purpose=SECRET_PURPOSE
    )
    return made


def _refuse_unfit(row: Channel) -> None:
    is_mail = row.kind == ChannelKind.EMAIL.value
    if not is_mail and not row.url:
        raise _wrong("url", "Give the address that messages are posted to.")
    if is_mail and row.url:
        raise _wrong("url", "A channel for e-mail has addresses, or none.")
    if not is_mail and row.addresses:
        raise _wrong("addresses", "Only a channel for e-mail has addresses.")
    if row.acts_as_id is not None and row.kind != ChannelKind.WEBHOOK.value:
        raise _wrong("acts_as", "Only a webhook decides as one account.")


def _refuse_lending(actor: Actor, row: Channel, fields: ChannelFields) -> None:
    """Refuse to give voices away: with a channel's secret one speaks as whomever it speaks for.

    For oneself that takes being allowed to decide, for others managing the workspace.
    """
    if fields.keys().isdisjoint({"acts_as", "identities", "secret"}):
        return
    spoken_for = set(row.identities.values_list("user_id", flat=True)) | {row.acts_as_id}
    spoken_for.discard(None)
    if spoken_for - {actor.user_id}:
        access.require(actor, Perm.WORKSPACE_MANAGE, row.workspace_id)
    elif spoken_for:
        access.require(actor, Perm.APPROVAL_DECIDE, row.workspace_id)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise _wrong("url", f"The address cannot be read: {error}.") from None
    if port == 0 or parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise _wrong("url", "Give an http or https address without a user name.")
    return text.strip()


def _addresses(given: Sequence[str]) -> list[str]:
    if len(given) > MAX_ADDRESSES:
        raise _wrong("addresses", f"Give at most {MAX_ADDRESSES}.")
    for address in given:
        try:
            validate_email(address)
        except ValidationError:
            raise _wrong("addresses", f"{address[:80]!r} is no address.") from None
    return list(dict.fromkeys(given))


def _events(given: Sequence[str]) -> list[str]:
    known = [event.value for event in TOLD_OF]
    if unknown := [name for name in given if name not in known]:
        raise _wrong("events", f"{unknown[0][:40]!r} is none of: {', '.join(known)}.")
    if not given:
        raise _wrong("events", f"Choose from: {', '.join(known)}.")
    return sorted(set(given))


def _member(workspace_id: UUID, field: str, username: str | None) -> User | None:
    if not username:
        return None
    found = Membership.objects.filter(workspace_id=workspace_id, user__username=username)
    member = found.select_related("user").first()
    if member is None:
        raise _wrong(field, f"{username[:80]!r} is no member of this workspace.")
    return member.user


def _identities(row: Channel, given: Mapping[str, str]) -> None:
    """Say anew who of the channel is who here; without a line somebody is nobody."""
    if row.kind != ChannelKind.SLACK.value and given:
        raise _wrong("identities", "Only a Slack channel has members of its own.")
    if len(given) > MAX_IDENTITIES:
        raise _wrong("identities", f"Give at most {MAX_IDENTITIES}.")
    rows = [
        ChannelIdentity(channel=row, external_id=external_id, user=user)
        for external_id, name in given.items()
        if (user := _member(row.workspace_id, "identities", name)) is not None
    ]
    row.identities.all().delete()
    ChannelIdentity.objects.bulk_create(rows)


def _record(actor: Actor, row: Channel, what: str) -> None:
    """Who may decide through a channel is a permission; it belongs in the chain."""
    people = row.identities.values_list("external_id", "user__username")
    audit_append(
        actor,
        action=AuditAction.PERMISSION_CHANGED,
        workspace_id=row.workspace_id,
        subject=AuditSubject(kind="channel", id=str(row.pk), label=row.name),
        payload={
            "what": what,
            "kind": row.kind,
            "acts_as": row.acts_as.username if row.acts_as else "",
            "identities": dict(people) if what == "written" else {},
            "is_enabled": row.is_enabled,
        },
    )


def _wrong(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: [sentence]})
