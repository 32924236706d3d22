"""One's own page: who one is here, what one is told of by letter, and one's tokens."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.pages import Page
from core import clock
from core.admin import moment
from core.errors import DomainError
from governance import access
from governance.contracts import Actor, ChannelEvent, Perm
from governance.guard.authentication import actor_of
from governance.selectors.channels import letters_of
from governance.selectors.tokens import token_list
from governance.selectors.users import memberships_of
from governance.services.letters import LETTER_EVENTS, letters_set
from governance.services.tokens import token_revoke

_NEWS = {
    ChannelEvent.APPROVAL_ASKED: _("I am asked"),
    ChannelEvent.APPROVAL_DECIDED: _("Decided"),
    ChannelEvent.APPROVAL_EXPIRING: _("Expires soon"),
    ChannelEvent.APPROVAL_ESCALATED: _("Escalated to me"),
    ChannelEvent.RUN_FAILED: _("A run failed"),
    ChannelEvent.BUDGET_WARNING: _("80 % of a budget"),
    ChannelEvent.BUDGET_EXHAUSTED: _("A budget is used up"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    event: str
    title: str
    is_wanted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workspace one is in, with one's roles and what one is told of there."""

    workspace: Any
    roles: str
    wishes: tuple[Wish, ...]


class Profile(Page):
    name = "profile"

    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("profile/", view(self.page_view), name=self.name),
            path("profile/letters/", view(self.letters_view), name="profile_letters"),
            path(
                "profile/tokens/<uuid:token_id>/revoke/",
                view(self.revoke_view),
                name="profile_revoke",
            ),
        ]

    def may_open(self, request: HttpRequest) -> bool:
        return self.site.has_permission(request)

    def page_view(self, request: HttpRequest) -> HttpResponse:
        actor = actor_of(request)
        own = token_list(actor).filter(user=_user_id(actor)).order_by("-created_at")
        now = clock.now()
        tokens = [
            {
                "row": token,
                "is_live": token.revoked_at is None
                and (token.expires_at is None or token.expires_at > now),
                "used": moment(token.last_used_at) if token.last_used_at else gettext("never"),
                "expires": moment(token.expires_at) if token.expires_at else gettext("never"),
                "scopes": ", ".join(token.scopes) if token.scopes else gettext("all you may"),
            }
            for token in own
        ]
        context = self.context(
            request,
            title=gettext("Your profile"),
            places=_places(actor),
            titles=[_NEWS[event] for event in LETTER_EVENTS],
            tokens=tokens,
            may_have_tokens=access.permitted_workspace_ids(actor, Perm.WORKSPACE_VIEW).exists(),
        )
        return TemplateResponse(request, "console/profile/page.html", context)

    def letters_view(self, request: HttpRequest) -> HttpResponse:
        """Keep what was ticked; a workspace one is no member of is left alone."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        actor = actor_of(request)
        try:
            for place in _places(actor):
                wanted = request.POST.getlist(f"letters-{place.workspace.pk}")
                before = [wish.event for wish in place.wishes if wish.is_wanted]
                if sorted(wanted) != sorted(before):
                    letters_set(actor, workspace=place.workspace, events=wanted)
        except DomainError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, gettext("What you are told of by letter is kept."))
        return HttpResponseRedirect(reverse("admin:profile"))

    def revoke_view(self, request: HttpRequest, token_id: UUID) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        actor = actor_of(request)
        token = get_object_or_404(token_list(actor), pk=token_id, user=_user_id(actor))
        token_revoke(actor, token=token)
        messages.success(
            request,
            gettext("The token “%(name)s” is revoked; it opens nothing more.")
            % {"name": token.name},
        )
        return HttpResponseRedirect(reverse("admin:profile"))


def _user_id(actor: Actor) -> UUID:
    if actor.user_id is None:
        raise PermissionDenied("This page is a person's.")
    return actor.user_id


def _places(actor: Actor) -> tuple[Place, ...]:
    wanted = {row.workspace_id: set(row.events) for row in letters_of(_user_id(actor))}
    return tuple(
        Place(
            workspace=row.workspace,
            roles=", ".join(sorted(role.name for role in row.roles.all())) or gettext("no role"),
            wishes=tuple(
                Wish(
                    event=event.value,
                    title=str(_NEWS[event]),
                    is_wanted=event.value in wanted.get(row.workspace_id, ()),
                )
                for event in LETTER_EVENTS
            ),
        )
        for row in memberships_of(_user_id(actor))
    )
