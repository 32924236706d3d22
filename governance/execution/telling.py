"""News of approvals turned into messages on their way.

A message is written down once for each channel, news and recipient, whoever tells of the news and
how often: the subscriber in the process that made it, and the sweep behind that.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from core import clock
from governance.contracts import ApprovalState, ChannelEvent, ChannelKind
from governance.models import Approval, Channel, Delivery
from governance.selectors.channels import addresses_for

_LOOKED_BACK = timedelta(days=1)


def deliveries_write(event: ChannelEvent, approval_id: UUID) -> None:
    """Write down the messages of one piece of news; the sweep would too."""
    approval = Approval.objects.filter(pk=approval_id).first()
    if approval is not None:
        _enqueue(event, approval, channels_of(approval.workspace_id))


def deliveries_missed() -> int:
    """Write down messages of what happened within a day and that no process told of.

    Returns how many. A channel is told of what was asked after it was made.
    """
    since = clock.now() - _LOOKED_BACK
    written = 0
    for channel in Channel.objects.filter(is_enabled=True).select_related("workspace"):
        rows = Approval.objects.filter(
            workspace_id=channel.workspace_id, created_at__gte=channel.created_at
        )
        pending = rows.filter(state=ApprovalState.PENDING.value)
        for event, found in (
            (ChannelEvent.APPROVAL_ASKED, pending.filter(created_at__gte=since)),
            (ChannelEvent.APPROVAL_EXPIRING, pending.filter(warned_at__gte=since)),
            (
                ChannelEvent.APPROVAL_DECIDED,
                rows.exclude(state=ApprovalState.PENDING.value).filter(decided_at__gte=since),
            ),
        ):
            if event.value not in channel.events:
                continue
            told = Delivery.objects.filter(
                channel=channel, event=event.value, created_at__gte=since - _LOOKED_BACK
            )
            keys = set(told.values_list("event_key", flat=True))
            for approval in found:
                if _key(event, approval) not in keys:
                    written += _enqueue(event, approval, [channel])
    return written


def channels_of(workspace_id: UUID) -> Iterable[Channel]:
    return Channel.objects.filter(workspace_id=workspace_id, is_enabled=True).select_related(
        "workspace", "owner"
    )


def _enqueue(event: ChannelEvent, approval: Approval, channels: Iterable[Channel]) -> int:
    """Write the messages; those that are there stay. Returns how many are new."""
    return messages_write(
        [
            message(
                event,
                _key(event, approval),
                channel,
                recipient,
                _payload(approval, channel.workspace.name),
            )
            for channel in channels
            if event.value in channel.events
            for recipient in _recipients(event, channel, approval)
        ]
    )


def message(
    event: ChannelEvent, key: str, channel: Channel, recipient: str, payload: dict[str, Any]
) -> Delivery:
    return Delivery(
        workspace_id=channel.workspace_id,
        channel=channel,
        event=event.value,
        event_key=key,
        recipient=recipient,
        payload=payload,
        due_at=clock.now(),
    )


def messages_write(rows: Sequence[Delivery]) -> int:
    """Keep those that are not there yet; another process may write the same at this moment."""
    if not rows:
        return 0
    told = set(
        Delivery.objects.filter(
            channel__in={row.channel_id for row in rows},
            event_key__in={row.event_key for row in rows},
        ).values_list("channel_id", "event_key", "recipient")
    )
    fresh = [row for row in rows if (row.channel_id, row.event_key, row.recipient) not in told]
    with transaction.atomic():
        Delivery.objects.bulk_create(fresh, ignore_conflicts=True)
    return len(fresh)


def _recipients(event: ChannelEvent, channel: Channel, approval: Approval) -> Iterable[str]:
    if channel.kind != ChannelKind.EMAIL.value:
        return [""]
    if channel.addresses:
        return list(channel.addresses)
    if event is ChannelEvent.APPROVAL_DECIDED:
        told = Delivery.objects.filter(
            channel=channel, event_key=f"{ChannelEvent.APPROVAL_ASKED}:{approval.pk}"
        )
        return list(told.values_list("recipient", flat=True))
    return list(addresses_for(approval, only=channel.owner_id))


def _key(event: ChannelEvent, approval: Approval) -> str:
    """Name the news: an approval is asked and decided once, and escalated once for each time."""
    if event in (ChannelEvent.APPROVAL_ESCALATED, ChannelEvent.APPROVAL_EXPIRING):
        return f"{event}:{approval.pk}:{_moment(approval.expires_at)}"
    return f"{event}:{approval.pk}"


def _payload(approval: Approval, workspace: str) -> dict[str, Any]:
    site = settings.PUBLIC_URL.rstrip("/")
    return {
        "approval": str(approval.pk),
        "workspace": workspace,
        "kind": approval.kind,
        "title": approval.title,
        "state": approval.state,
        "subject": str(approval.subject_id),
        "run": str(approval.run_id) if approval.run_id else None,
        "agent": approval.agent_name,
        "requester": approval.requester_name,
        "approvers": approval.approvers,
        "quorum": approval.quorum,
        "rule": approval.rule,
        "binding_digest": approval.binding_digest,
        "created_at": _moment(approval.created_at),
        "expires_at": _moment(approval.expires_at),
        "by": approval.decided_by_name,
        "link": f"{site}/admin/governance/approval/{approval.pk}/change/" if site else "",
    }


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="seconds")
