"""Requests about channels, and about what was sent through them."""

from collections.abc import Mapping, Sequence

from agentry.client.calls.shape import body, in_workspace, new_key, nothing, of, query, reads
from agentry.client.flow import Call
from agentry.client.records import Channel, Delivery, Page

_CHANNEL = reads(Channel)
_CHANNELS = reads(Page[Channel])
_DELIVERY = reads(Delivery)
_DELIVERIES = reads(Page[Delivery])


def channels(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Channel]]:
    return Call(
        method="GET",
        path=in_workspace("channels"),
        query=query(limit=limit, cursor=cursor),
        read=_CHANNELS,
    )


def channel(name: str) -> Call[Channel]:
    return Call(method="GET", path=in_workspace("channels", name), read=_CHANNEL)


def channel_create(
    name: str,
    *,
    kind: str,
    url: str | None = None,
    addresses: Sequence[str] | None = None,
    events: Sequence[str] | None = None,
    acts_as: str | None = None,
    identities: Mapping[str, str] | None = None,
    secret: str | None = None,
) -> Call[Channel]:
    """A new channel. A webhook's signing secret is made, unless given, and in this answer only.

    The answer is never stored, so this is not repeated: after a lost answer, have another secret
    made.
    """
    return Call(
        method="POST",
        path=in_workspace("channels"),
        body=body(
            name=name,
            kind=kind,
            url=url,
            addresses=addresses,
            events=events,
            acts_as=acts_as,
            identities=identities,
            secret=secret,
        ),
        read=_CHANNEL,
    )


def channel_update(
    name: str,
    *,
    url: str | None = None,
    addresses: Sequence[str] | None = None,
    events: Sequence[str] | None = None,
    acts_as: str | None = None,
    identities: Mapping[str, str] | None = None,
    is_enabled: bool | None = None,
    secret: str | None = None,
) -> Call[Channel]:
    """Change what is given; an empty `secret` has a webhook's made anew."""
    return Call(
        method="PATCH",
        path=in_workspace("channels", name),
        body=body(
            url=url,
            addresses=addresses,
            events=events,
            acts_as=acts_as,
            identities=identities,
            is_enabled=is_enabled,
            secret=secret,
        ),
        read=_CHANNEL,
    )


def channel_delete(name: str) -> Call[None]:
    """Delete it with its deliveries, also those that are still to be sent."""
    return Call(method="DELETE", path=in_workspace("channels", name), read=nothing)


def channel_test(name: str) -> Call[Delivery]:
    """Send a message that says it is a test; its outcome is in the deliveries."""
    return Call(
        method="POST",
        path=in_workspace("channels", name, "test"),
        body={},
        read=_DELIVERY,
        idempotency_key=new_key(),
    )


def deliveries(
    *,
    channel: str | None = None,
    state: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Delivery]]:
    """What was sent and what is still to be sent, newest first."""
    return Call(
        method="GET",
        path=in_workspace("deliveries"),
        query=query(channel=channel, state=state, limit=limit, cursor=cursor),
        read=_DELIVERIES,
    )


def delivery(delivery_id: str) -> Call[Delivery]:
    return Call(method="GET", path=of("deliveries", delivery_id), read=_DELIVERY)


def delivery_redeliver(delivery_id: str) -> Call[Delivery]:
    """Send it once more, with the id it had."""
    return Call(
        method="POST",
        path=of("deliveries", delivery_id, "redeliver"),
        body={},
        read=_DELIVERY,
        idempotency_key=new_key(),
    )
