"""What governance does about its own news: channels are told of approvals."""

from core.events import subscribe
from governance.contracts import ChannelEvent
from governance.execution.telling import deliveries_write
from governance.services.approvals import (
    ApprovalAsked,
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalExpiring,
)


def join() -> None:
    """Subscribe; doing it twice is the same as once."""
    subscribe(ApprovalAsked, asked)
    subscribe(ApprovalDecided, decided)
    subscribe(ApprovalExpiring, expiring)
    subscribe(ApprovalEscalated, escalated)


def asked(news: ApprovalAsked) -> None:
    deliveries_write(ChannelEvent.APPROVAL_ASKED, news.approval_id)


def decided(news: ApprovalDecided) -> None:
    deliveries_write(ChannelEvent.APPROVAL_DECIDED, news.approval_id)


def expiring(news: ApprovalExpiring) -> None:
    deliveries_write(ChannelEvent.APPROVAL_EXPIRING, news.approval_id)


def escalated(news: ApprovalEscalated) -> None:
    deliveries_write(ChannelEvent.APPROVAL_ESCALATED, news.approval_id)
