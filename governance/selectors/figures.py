"""Figures of the whole site for those who run it: counts and ages, no tenant's name or content."""

from collections.abc import Iterator

from django.db.models import Count, Min

from core import clock
from governance.contracts import ApprovalKind, ApprovalState, DeliveryState
from governance.models import Approval, Delivery


def governance_figures() -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Yield gauges of `core.metrics.table`. For the site's own telemetry, never for a person."""
    pending = Approval.objects.filter(state=ApprovalState.PENDING.value)
    counted = dict(pending.order_by().values_list("kind").annotate(Count("pk")))
    for kind in ApprovalKind:
        yield "agentry_approvals_pending", (kind.value,), float(counted.get(kind.value, 0))
    oldest = pending.aggregate(oldest=Min("created_at"))["oldest"]
    waited = (clock.now() - oldest).total_seconds() if oldest else 0.0
    yield "agentry_approval_oldest_seconds", (), max(waited, 0.0)
    due = Delivery.objects.filter(state=DeliveryState.PENDING.value)
    yield "agentry_deliveries_pending", (), float(due.count())
