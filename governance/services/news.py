"""News that is no approval: other apps tell of it here, and channels carry it on."""

from collections.abc import Iterable, Sequence
from typing import Any

from governance.contracts import ChannelEvent, ChannelKind, Perm
from governance.execution.telling import channels_of, message, messages_write
from governance.models import Channel, User, Workspace
from governance.selectors.channels import people_with


def news_write(
    event: ChannelEvent,
    *,
    workspace: Workspace,
    key: str,
    payload: dict[str, Any],
    needed: Perm,
    wishing: Perm | None = None,
) -> int:
    """Write down the messages of news that is no approval; `key` names it, so that it is told once.

    Letters go to who has `needed` in the workspace, and who wished for them, to who has `wishing`
    (as `needed` where none is given). Returns how many messages are new.
    """
    channels = [row for row in channels_of(workspace.pk) if event.value in row.events]
    letters = [row for row in channels if row.kind == ChannelKind.EMAIL.value and not row.addresses]
    people: dict[Perm, list[User]] = {}
    rows = []
    for channel in channels:
        perm = wishing if channel.owner_id and wishing else needed
        if channel in letters and perm not in people:
            people[perm] = list(people_with(perm, workspace.pk))
        rows += [
            message(event, f"{event}:{key}", channel, recipient, payload)
            for recipient in _readers(channel, people.get(perm, ()))
        ]
    return messages_write(rows)


def _readers(channel: Channel, people: Sequence[User]) -> Iterable[str]:
    if channel.kind != ChannelKind.EMAIL.value:
        return [""]
    if channel.addresses:
        return list(channel.addresses)
    return [
        user.email for user in people if channel.owner_id is None or user.pk == channel.owner_id
    ]
