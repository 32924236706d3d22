"""Deliveries: sending a message again, and trying a channel."""

from django.db.models import Q

from core import clock
from core.errors import ConflictError
from core.ids import new_id
from governance import access
from governance.contracts import Actor, ChannelEvent, DeliveryState, Perm
from governance.models import Channel, Delivery
from governance.transitions import deliveries_move


def delivery_redeliver(actor: Actor, *, delivery: Delivery) -> Delivery:
    """Send a message once more, with the id it had.

    Raises:
        ConflictError: It is on its way.
    """
    access.require(actor, Perm.CHANNEL_EDIT, delivery.workspace_id)
    moved = deliveries_move(
        Q(pk=delivery.pk),
        target=DeliveryState.PENDING,
        attempts=0,
        due_at=clock.now(),
        settled_at=None,
    )
    if not moved:
        raise ConflictError("The message is on its way already.", remedy="Wait for its outcome.")
    delivery.refresh_from_db()
    return delivery


def channel_test(actor: Actor, *, channel: Channel) -> Delivery:
    """Send a message that says only that it is a test; its outcome is in the deliveries."""
    access.require(actor, Perm.CHANNEL_EDIT, channel.workspace_id)
    payload = {
        "workspace": channel.workspace.name,
        "title": f"{actor.username} tries the channel {channel.name}.",
    }
    recipient = (channel.addresses or [""])[0]
    return Delivery.objects.create(
        workspace_id=channel.workspace_id,
        channel=channel,
        event=ChannelEvent.TEST.value,
        event_key=f"{ChannelEvent.TEST}:{new_id()}",
        recipient=recipient,
        payload=payload,
        due_at=clock.now(),
    )
