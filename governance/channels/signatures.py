"""Signatures of messages: Standard Webhooks both ways, and Slack's for what comes in.

Sources: the Standard Webhooks specification (standardwebhooks.com), and Slack's "Verifying requests
from Slack", version v0.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from core import clock

_SECRET_BYTES = 32
_PREFIX = "whsec_"
_SLACK_TOLERANCE_SECONDS = 300


class SignatureError(Exception):
    """The message is not signed as it must be; the text says in what way, never with what."""


def new_secret() -> str:
    """Return a secret for Standard Webhooks."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def is_secret(text: str) -> bool:
    """Say whether `text` can sign by Standard Webhooks: 24 to 64 bytes in base64."""
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError:
        return False
    return 24 <= len(raw) <= 64


def signed_headers(secret: str, *, message_id: str, at: datetime, content: bytes) -> dict[str, str]:
    """Return the headers of a message; `message_id` is the same in every attempt."""
    signature = Webhook(secret).sign(msg_id=message_id, timestamp=at, data=content.decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def webhook_check(secret: str, *, headers: Mapping[str, str], content: bytes) -> None:
    """Raise SignatureError unless the message was signed with the secret within five minutes."""
    try:
        Webhook(secret).verify(content, dict(headers), json_parse=False)
    except WebhookVerificationError as error:
        raise SignatureError(str(error)) from None
    except (ValueError, UnicodeError):
        raise SignatureError("its headers cannot be read") from None


def slack_check(secret: str, *, headers: Mapping[str, str], content: bytes) -> None:
    """Raise SignatureError unless the app's secret signed it within five minutes."""
    given = {name.lower(): value for name, value in headers.items()}
    sent_at, signature = given.get("x-slack-request-timestamp"), given.get("x-slack-signature")
    if not sent_at or not signature or not sent_at.isascii() or not sent_at.isdigit():
        raise SignatureError("X-Slack-Request-Timestamp or X-Slack-Signature is missing")
    if abs(clock.now().timestamp() - int(sent_at[:12])) > _SLACK_TOLERANCE_SECONDS:
        raise SignatureError("it is older, or newer, than five minutes")
    base = b"v0:" + sent_at.encode() + b":" + content
    expected = "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise SignatureError("its signature does not belong to what it says")
