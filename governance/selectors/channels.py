"""Channels of a workspace, their deliveries, and whom a letter about an approval goes to."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import Count, Min, Q, QuerySet

from core import clock
from core.errors import NotFoundError
from core.ids import first_id_at
from core.sealing import unseal
from governance import access
from governance.contracts import Actor, ChannelEvent, DeliveryState, Perm
from governance.models import Approval, Channel, Delivery, User, Workspace
from governance.selectors.approvals import decider_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_RECIPIENTS = 200
# What seeing the subject of each piece of news takes. Whoever is told may need more.
SEEING: Final[Mapping[str, Perm]] = {
    ChannelEvent.APPROVAL_ASKED: Perm.APPROVAL_VIEW,
    ChannelEvent.APPROVAL_DECIDED: Perm.APPROVAL_VIEW,
    ChannelEvent.APPROVAL_EXPIRING: Perm.APPROVAL_VIEW,
    ChannelEvent.APPROVAL_ESCALATED: Perm.APPROVAL_VIEW,
    ChannelEvent.RUN_FAILED: Perm.RUN_VIEW,
    ChannelEvent.BUDGET_WARNING: Perm.BUDGET_VIEW,
    ChannelEvent.BUDGET_EXHAUSTED: Perm.BUDGET_VIEW,
}
SECRET_PURPOSE = "channel"  # noqa: S105 - what is sealed, for the seal


def channel_list(actor: Actor, workspace: Workspace) -> QuerySet[Channel]:
    rows = Channel.objects.filter(workspace=workspace, owner__isnull=True).select_related("acts_as")
    return access.scope(actor, Perm.CHANNEL_VIEW, rows.prefetch_related("identities__user"))


def delivery_list(actor: Actor, workspace: Workspace) -> QuerySet[Delivery]:
    rows = Delivery.objects.filter(_not_of_others(actor), workspace=workspace)
    return access.scope(actor, Perm.CHANNEL_VIEW, rows.select_related("channel"))


def _not_of_others(actor: Actor) -> Q:
    """Messages of channels, and one's own letters."""
    return Q(channel__owner__isnull=True) | Q(channel__owner_id=actor.user_id)


def deliveries_failed(actor: Actor, *, since: datetime, most: int) -> list[Delivery]:
    """Return the newest deliveries begun since a moment that were given up, `most` at most; letters
    of others are not among them."""
    rows = Delivery.objects.filter(
        _not_of_others(actor),
        state=DeliveryState.FAILED.value,
        pk__gte=first_id_at(since.timestamp()),
    ).select_related("channel")
    return list(access.scope(actor, Perm.CHANNEL_VIEW, rows).order_by("-pk")[:most])


def channel_named(workspace_name: str, name: str) -> Channel:
    """Return an enabled channel, for messages that come in and prove who sent them.

    Raises:
        NotFoundError: There is none, which says nothing about whether there is the workspace.
    """
    rows = Channel.objects.select_related("workspace", "acts_as")
    found = rows.filter(
        workspace__name=workspace_name, name=name, is_enabled=True, owner__isnull=True
    ).first()
    if found is None:
        raise NotFoundError("There is no such channel.", remedy="Check the address.")
    return found


def workspaces_told_of(event: ChannelEvent) -> list[Workspace]:
    """Return the workspaces where some channel wants this news."""
    wanted = Channel.objects.filter(is_enabled=True).select_related("workspace")
    # JSON lists are looked through here: SQLite has no index for it, and channels are few.
    found = {row.workspace_id: row.workspace for row in wanted if event.value in row.events}
    return list(found.values())


def letters_of(user_id: UUID) -> QuerySet[Channel]:
    """Return what a person wants to be told of, by workspace; nobody else asks this."""
    return Channel.objects.filter(owner_id=user_id).select_related("workspace")


def people_with(needed: Perm, workspace_id: UUID) -> "Iterator[User]":
    """Yield members who can be written to and have a permission there now, at most 200."""
    for user in _members(workspace_id)[:MAX_RECIPIENTS]:
        if access.can(access.actor_of_user(user), needed, workspace_id):
            yield user


def may_be_told(row: Delivery) -> bool:
    """Say whether a letter may go to its recipient now: one of the channel's addresses, or the
    address of a member who sees what it is about. Hours may have passed since it was written."""
    channel, needed = row.channel, SEEING.get(row.event)
    if channel.addresses or needed is None:
        return row.recipient in channel.addresses
    people = _members(row.workspace_id).filter(email=row.recipient)
    if channel.owner_id is not None:
        people = people.filter(pk=channel.owner_id)
    return any(
        access.can(access.actor_of_user(user), needed, row.workspace_id)
        for user in people[:MAX_RECIPIENTS]
    )


def _members(workspace_id: UUID) -> QuerySet[User]:
    people = User.objects.filter(
        memberships__workspace_id=workspace_id, is_active=True, is_service=False
    )
    return people.exclude(email="").distinct().order_by("pk")


def addresses_for(approval: Approval, *, only: UUID | None = None) -> "Iterator[str]":
    """Yield the addresses of people who could decide it now, at most 200; or of that one person."""
    people = _members(approval.workspace_id)
    if only is not None:
        people = people.filter(pk=only)
    for user in people[:MAX_RECIPIENTS]:
        decider = decider_of(access.actor_of_user(user), approval.workspace_id)
        if decider.may_decide(approval):
            yield user.email


def address_shown(url: str) -> str:
    """Write an address without its path: with those of Slack and others, whoever knows it posts."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…" if parts.netloc else ""


def channel_secret(channel: Channel) -> str:
    """Open the secret; for whoever signs or checks at this moment."""
    if channel.sealed_secret is None:
        return ""
    return unseal(
        channel.sealed_secret,
        workspace_id=channel.workspace_id,
        name=str(channel.pk),
        purpose=SECRET_PURPOSE,
    )


def deliveries_waiting(actor: Actor) -> tuple[int, datetime | None, int]:
    """Return how many messages are due, since when the first is, and how many are tried again
    later; where the actor may look."""
    rows = access.scope(
        actor, Perm.CHANNEL_VIEW, Delivery.objects.filter(state=DeliveryState.PENDING.value)
    )
    now = clock.now()
    found = rows.aggregate(
        due=Count("pk", filter=Q(due_at__lte=now)),
        since=Min("due_at", filter=Q(due_at__lte=now)),
        later=Count("pk", filter=Q(due_at__gt=now)),
    )
    return found["due"], found["since"], found["later"]
