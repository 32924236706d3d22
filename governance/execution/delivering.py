"""Sending what is due: taken under a lease, sent side by side, tried again later when it fails.

A message is sent at least once: a process that dies after sending it leaves it due, and the
receiver knows it again by its id.
"""

import asyncio
import smtplib
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db.models import F, Q

from core import clock
from core.errors import ConflictError, DomainError, PermissionDeniedError
from core.metrics.instruments import DELIVERIES
from core.pausepoints import reach
from core.redaction import redact_text
from governance.channels.messages import letter, slack_content, webhook_content
from governance.channels.signatures import signed_headers
from governance.contracts import ChannelEvent, ChannelKind, DeliveryState, Posted
from governance.models import Delivery
from governance.registry import poster
from governance.selectors.channels import channel_secret, may_be_told
from governance.transitions import deliveries_move

logger = structlog.get_logger(__name__)

# When to try again after each failure; after the last it is given up and can be sent by hand.
RETRY_SECONDS = (5, 60, 300, 1_800, 7_200, 18_000, 36_000)
LEASE_SECONDS = 120
BATCH = 20
_MAIL_SECONDS = 20
_MAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
_GONE = 410


def deliveries_send() -> int:
    """Send what is due, at most 20; returns how many were tried. Safe to run at once elsewhere."""
    taken = [row for row in _due() if _take(row)]
    if not taken:
        return 0
    reach("delivery.taken")
    outcomes = asyncio.run(_sent([(row, _opened(row)) for row in taken]))
    for row, outcome in zip(taken, outcomes, strict=True):
        _settle(row, outcome)
    return len(taken)


def _due() -> Sequence[Delivery]:
    now = clock.now()
    rows = Delivery.objects.filter(state=DeliveryState.PENDING.value, due_at__lte=now)
    free = rows.filter(Q(lease_until__isnull=True) | Q(lease_until__lte=now))
    return list(free.select_related("channel__workspace").order_by("due_at")[:BATCH])


def _take(row: Delivery) -> bool:
    """Make the message ours for a while; of several workers one gets it."""
    now = clock.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    ours = Delivery.objects.filter(free, pk=row.pk, state=DeliveryState.PENDING.value)
    lease_until = now + timedelta(seconds=LEASE_SECONDS)
    row.attempts += 1
    return bool(ours.update(lease_until=lease_until, attempts=F("attempts") + 1))


def _settle(row: Delivery, outcome: Posted) -> None:
    ours, now = Q(pk=row.pk), clock.now()
    is_sent = not outcome.problem and 200 <= outcome.status < 300
    DELIVERIES.add(1, row.channel.kind, "sent" if is_sent else "failed")
    if is_sent:
        deliveries_move(ours, target=DeliveryState.DELIVERED, settled_at=now, last_error="")
        return
    error = redact_text(outcome.problem or f"The server answered {outcome.status}.")
    error = _without_path(error, row.channel.url)[:500]
    if row.attempts > len(RETRY_SECONDS) or outcome.status == _GONE:
        deliveries_move(ours, target=DeliveryState.FAILED, settled_at=now, last_error=error)
        logger.warning("delivery_failed", delivery=str(row.pk), channel=row.channel.name)
        return
    pause = timedelta(seconds=RETRY_SECONDS[row.attempts - 1])
    pending = Delivery.objects.filter(ours, state=DeliveryState.PENDING.value)
    pending.update(due_at=now + pause, lease_until=None, last_error=error)


async def _sent(rows: Sequence[tuple[Delivery, str | DomainError]]) -> list[Posted]:
    return list(await asyncio.gather(*(_tried(row, secret) for row, secret in rows)))


def _opened(row: Delivery) -> str | DomainError:
    """Open the secret, and ask once more whether it may go, here where the database is asked."""
    try:
        if not row.channel.is_enabled:
            raise ConflictError("The channel is switched off.")
        is_letter = row.channel.kind == ChannelKind.EMAIL.value and row.recipient
        if is_letter and not may_be_told(row):
            raise PermissionDeniedError("Whoever has this address may not see this any more.")
        return channel_secret(row.channel)
    except DomainError as error:
        return error


async def _tried(row: Delivery, secret: str | DomainError) -> Posted:
    """Send one of several: whatever it breaks at, the others go out and it is settled."""
    try:
        return await _send(row, secret)
    except Exception as error:
        logger.exception("delivery_broke", delivery=str(row.pk), channel=row.channel.name)
        return Posted(problem=f"Sending it broke: {type(error).__name__}.")


def _without_path(sentence: str, url: str) -> str:
    """More people read what came of a message than may know the address in full."""
    parts = urlsplit(url)
    return sentence.replace(parts.path, "/…") if len(parts.path) > 1 else sentence


async def _send(row: Delivery, secret: str | DomainError) -> Posted:
    if isinstance(secret, DomainError):
        is_for_good = isinstance(secret, ConflictError | PermissionDeniedError)
        return Posted(problem=str(secret), status=_GONE if is_for_good else 0)
    event = ChannelEvent(row.event)
    if row.channel.kind == ChannelKind.EMAIL.value:
        return await asyncio.to_thread(_mail, row, event)
    headers = {"content-type": "application/json", "user-agent": "agentry-webhooks"}
    if row.channel.kind == ChannelKind.SLACK.value:
        content = slack_content(event, row.payload)
    else:
        now = clock.now()
        content = webhook_content(event, row.payload, at=now)
        headers |= signed_headers(secret, message_id=str(row.pk), at=now, content=content)
    return await poster().post(row.channel.url, headers=headers, content=content)


def _mail(row: Delivery, event: ChannelEvent) -> Posted:
    if not row.recipient:
        return Posted(problem="The channel has no address to send this to.")
    if not settings.IS_MAIL_CONFIGURED:
        return Posted(problem="There is no mail server: set AGENTRY_EMAIL_URL.")
    written = letter(event, row.payload)
    message = EmailMessage(
        subject=written.subject,
        body=written.body,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[row.recipient],
        headers={"Message-ID": f"<{row.pk}@agentry>"},
        connection=get_connection(_MAIL_BACKEND, timeout=_MAIL_SECONDS),
    )
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        return Posted(problem=f"The mail server did not take it: {type(error).__name__}: {error}")
    return Posted(status=200)
