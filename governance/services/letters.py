"""Letters: what one person wants to be told of by e-mail, workspace by workspace.

They are a channel of the person's own, so that they are sent, tried again and recorded as all
other news is. What somebody may not see any more is not sent, whatever was wished for.
"""

from collections.abc import Collection

from django.db import transaction

from core.errors import InvalidInputError, PermissionDeniedError
from governance import access
from governance.contracts import Actor, ChannelEvent, ChannelKind, Perm
from governance.models import Channel, User, Workspace
from governance.services.activity import recorded_as

LETTER_EVENTS = tuple(event for event in ChannelEvent if event is not ChannelEvent.TEST)


def letters_set(actor: Actor, *, workspace: Workspace, events: Collection[str]) -> Channel | None:
    """Say what the actor wants to be told of there; nothing ends it.

    Raises:
        InvalidInputError: The person has no address, or there is no such news.
        PermissionDeniedError: The actor is no person.
    """
    access.require(actor, Perm.WORKSPACE_VIEW, workspace)
    if actor.user_id is None or actor.token_id is not None:
        raise PermissionDeniedError(
            "Letters are for a person who is signed in.", remedy="Sign in to the console."
        )
    known = {event.value for event in LETTER_EVENTS}
    if unknown := sorted(set(events) - known):
        raise InvalidInputError(
            f"{unknown[0][:40]!r} is no news.", remedy=f"Choose from: {', '.join(sorted(known))}."
        )
    with recorded_as(actor), transaction.atomic():
        user = User.objects.select_for_update().get(pk=actor.user_id)
        row = Channel.objects.filter(workspace=workspace, owner=user).first()
        if not events:
            if row is not None:
                row.delete()
            return None
        if not user.email:
            raise InvalidInputError(
                "There is no address to write to.",
                remedy="Ask a site admin to give your account an e-mail address.",
            )
        row = row or Channel(
            workspace=workspace,
            owner=user,
            kind=ChannelKind.EMAIL.value,
            name=f"letters-{user.pk.hex[-12:]}",
        )
        row.events = sorted(set(events))
        row.save()
        return row
