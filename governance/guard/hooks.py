"""Messages that come in through a channel: who signed them, and who that is here.

A signature proves the channel; who decides is whoever the channel says: one account for a webhook,
the account joined to the member for Slack. The actor is narrowed to deciding in the one workspace.
"""

from typing import Any

import structlog
from rest_framework import authentication
from rest_framework.request import Request

from core.errors import NotAuthenticatedError, NotFoundError, PermissionDeniedError
from governance import access
from governance.channels.pressed import member_of
from governance.channels.signatures import SignatureError, slack_check, webhook_check
from governance.contracts import Actor, ChannelKind, Perm
from governance.guard.authentication import attach
from governance.guard.throttle import token_refused
from governance.models import Channel, User
from governance.selectors.channels import channel_named, channel_secret

logger = structlog.get_logger(__name__)

_SCOPES = frozenset({Perm.APPROVAL_VIEW, Perm.APPROVAL_DECIDE, Perm.RUN_PAYLOAD})


class ChannelAuthentication(authentication.BaseAuthentication):
    """Base: the signature of the channel named in the path; a session or token counts nothing."""

    kind: ChannelKind

    def authenticate(self, request: Request) -> tuple[Any, Actor]:
        content = request._request.body
        kwargs = request.parser_context["kwargs"]
        try:
            channel = self._channel(str(kwargs["workspace"]), str(kwargs["name"]))
            self.check(channel_secret(channel), request, content)
        except (SignatureError, NotFoundError) as error:
            # The same in every case, also for a channel that is not there: asking tells nothing.
            logger.info("message_refused", channel=kwargs["name"], reason=str(error))
            refusal = NotAuthenticatedError(
                "The message is not signed by a channel at this address.",
                remedy="Check the address, and sign with the channel's secret within five minutes.",
            )
            raise token_refused(refusal, request.META.get("REMOTE_ADDR", "")) from None
        user = self.decider(channel, content)
        if not user.is_active:
            raise PermissionDeniedError("The account is closed.", remedy="Ask an administrator.")
        actor = narrowed(user, channel)
        attach(request, actor)
        return user, actor

    def _channel(self, workspace: str, name: str) -> Channel:
        channel = channel_named(workspace, name)
        if channel.kind != self.kind.value or channel.sealed_secret is None:
            raise NotFoundError("There is no such channel.", remedy="Check the address.")
        return channel

    def check(self, secret: str, request: Request, content: bytes) -> None:
        raise NotImplementedError

    def decider(self, channel: Channel, content: bytes) -> User:
        """Return who decides.

        Raises:
            PermissionDeniedError: The channel knows nobody who does.
        """
        raise NotImplementedError

    def authenticate_header(self, request: Request) -> str:
        return "Webhook"


class WebhookAuthentication(ChannelAuthentication):
    kind = ChannelKind.WEBHOOK

    def check(self, secret: str, request: Request, content: bytes) -> None:
        webhook_check(secret, headers=request.headers, content=content)

    def decider(self, channel: Channel, content: bytes) -> User:
        if channel.acts_as is None:
            raise PermissionDeniedError(
                "This channel takes no decisions.",
                remedy="Say in the channel (`acts_as`) whose decisions it brings.",
            )
        return channel.acts_as


class SlackAuthentication(ChannelAuthentication):
    """Whoever pressed the button is the account the channel joins that member to, or nobody."""

    kind = ChannelKind.SLACK

    def check(self, secret: str, request: Request, content: bytes) -> None:
        slack_check(secret, headers=request.headers, content=content)

    def decider(self, channel: Channel, content: bytes) -> User:
        member = member_of(content)
        found = channel.identities.filter(external_id=member).select_related("user").first()
        if found is None:
            raise PermissionDeniedError(
                f"The Slack member {member[:40] or '(unknown)'} is nobody here.",
                remedy="Ask an administrator to join it to your account in the channel.",
            )
        return found.user


def narrowed(user: User, channel: Channel) -> Actor:
    """Return the user as far as a channel goes: deciding, in its workspace."""
    whole = access.actor_of_user(user)
    return Actor(
        user_id=whole.user_id,
        username=whole.username,
        is_superuser=whole.is_superuser,
        scopes=_SCOPES,
        workspace_id=channel.workspace_id,
    )
