"""What a channel says: as JSON for programs, as blocks for Slack, as a letter.

Arguments are not among it, nor what somebody said about them: who may see these signs in. Text from
models is shown as text, never as markup: Slack's control characters are escaped, and a letter has
no HTML.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from governance.contracts import ChannelEvent

_TITLES = {
    ChannelEvent.APPROVAL_ASKED: "Approval needed",
    ChannelEvent.APPROVAL_DECIDED: "Decided",
    ChannelEvent.APPROVAL_EXPIRING: "Nobody has decided yet",
    ChannelEvent.APPROVAL_ESCALATED: "Escalated to you",
    ChannelEvent.RUN_FAILED: "A run failed",
    ChannelEvent.BUDGET_WARNING: "Most of a budget is spent",
    ChannelEvent.BUDGET_EXHAUSTED: "A budget is used up",
    ChannelEvent.TEST: "A test",
}
_OPEN = frozenset(
    {
        ChannelEvent.APPROVAL_ASKED,
        ChannelEvent.APPROVAL_EXPIRING,
        ChannelEvent.APPROVAL_ESCALATED,
    }
)
_OF_BUDGETS = frozenset({ChannelEvent.BUDGET_WARNING, ChannelEvent.BUDGET_EXHAUSTED})
_TEXT_CHARACTERS = 2_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    subject: str
    body: str


def webhook_content(event: ChannelEvent, data: Mapping[str, Any], *, at: datetime) -> bytes:
    """Return the body of a Standard Webhooks message."""
    sent_at = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return msgspec.json.encode({"type": event.value, "timestamp": sent_at, "data": dict(data)})


def slack_content(event: ChannelEvent, data: Mapping[str, Any]) -> bytes:
    """Return a message with buttons while there is something to decide."""
    head = f"*{_TITLES[event]}*: {_escaped(data.get('title', ''))}"
    lines = [head, *(_escaped(line) for line in _facts(event, data))]
    if link := data.get("link"):
        lines.append(f"<{_escaped(link)}|Look at it>")
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)[:_TEXT_CHARACTERS]}}
    ]
    if event in _OPEN and data.get("approval"):
        value = f"{data['approval']} {data['binding_digest']}"
        blocks.append(
            {
                "type": "actions",
                "elements": [_button("Approve", value), _button("Deny", value)],
            }
        )
    return msgspec.json.encode({"text": head, "blocks": blocks})


def _button(label: str, value: str) -> dict[str, Any]:
    verdict = label.lower()
    return {
        "type": "button",
        "action_id": verdict,
        "style": "primary" if verdict == "approve" else "danger",
        "text": {"type": "plain_text", "text": label},
        "value": value,
        "confirm": {
            "title": {"type": "plain_text", "text": f"{label}?"},
            "text": {"type": "plain_text", "text": "This cannot be taken back."},
            "confirm": {"type": "plain_text", "text": label},
            "deny": {"type": "plain_text", "text": "Not now"},
        },
    }


def slack_answer(sentence: str, *, replaces: bool) -> bytes:
    """Return what Slack shows after a press: in the message's place, or to one person alone."""
    answer: dict[str, Any] = {"text": _escaped(sentence)}
    answer |= {"replace_original": True} if replaces else {"response_type": "ephemeral"}
    return msgspec.json.encode(answer)


def letter(event: ChannelEvent, data: Mapping[str, Any]) -> Letter:
    """Return a letter; its link leads to a page that asks who it is and only shows."""
    title = " ".join(str(data.get("title", "")).split())
    lines = [f"{_TITLES[event]}: {title}", "", *_facts(event, data)]
    if link := data.get("link"):
        lines += ["", f"{'Decide' if event in _OPEN else 'Look at it'}: {link}"]
    return Letter(
        subject=f"[{data.get('workspace', 'Agentry')}] {_TITLES[event]}: {title}"[:200],
        body="\n".join(lines) + "\n",
    )


def _facts(event: ChannelEvent, data: Mapping[str, Any]) -> list[str]:
    facts = []
    if data.get("requester"):
        facts.append(f"For: {data['requester']}")
    if event is ChannelEvent.APPROVAL_DECIDED:
        by = f" by {data['by']}" if data.get("by") else ""
        facts.append(f"It was {data.get('state', 'decided')}{by}.")
    elif event is ChannelEvent.RUN_FAILED:
        facts.append(f"Why: {data.get('code', '')}. {data.get('remedy', '')}".strip())
    elif event in _OF_BUDGETS:
        facts.append(f"Spent: {data.get('sentence', '')}")
    elif data.get("expires_at"):
        facts.append(f"Until: {data['expires_at']}")
    return [" ".join(str(fact).split())[:_TEXT_CHARACTERS] for fact in facts]


def _escaped(text: Any) -> str:
    """Escape what Slack reads as control characters."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
