"""The queue of approvals: a list, the question that is open, and answers to it by keyboard.

The page asks for its list every moment and shows it anew when it has changed. Every answer names
the binding that was shown; deciding itself is `governance.services.approvals`.
"""

from typing import Any, ClassVar
from uuid import UUID

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseNotModified
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from agentry_site.console.pages import Page
from agentry_site.console.queue.answering import decided, decided_many, tried
from agentry_site.console.queue.shown import (
    MINE,
    Truth,
    View,
    listing,
    mark_of,
    marks,
    now_iso,
    outcome,
    truth_of,
    warned_from,
)
from core.admin import moment, pill
from core.api.preconditions import is_unchanged
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.authentication import actor_of
from governance.guard.question import question_shown
from governance.selectors.alike import alike_to


class ApprovalQueue(Page):
    name: ClassVar[str] = "approval_queue"

    def urls(self) -> list[URLPattern]:
        one = "approvals/<uuid:approval_id>/"
        places: tuple[tuple[str, Any, str], ...] = (
            ("approvals/", self.page_view, "approval_queue"),
            ("approvals/list/", self.list_view, "approval_queue_list"),
            ("approvals/many/", self.many_view, "approval_queue_many"),
            (one, self.page_view, "approval_queue_open"),
            (f"{one}question/", self.question_view, "approval_queue_question"),
            (f"{one}alike/", self.alike_view, "approval_queue_alike"),
            (f"{one}decide/", self.decide_view, "approval_queue_decide"),
            (f"{one}try/", self.try_view, "approval_queue_try"),
        )
        return [path(place, self.site.admin_view(view), name=name) for place, view, name in places]

    def may_open(self, request: HttpRequest) -> bool:
        return bool(self._admin.has_view_permission(request))

    @property
    def _admin(self) -> Any:
        """The pages of approvals, which know who may see which."""
        return self.site._registry[apps.get_model("governance.Approval")]

    # --- looking ----------------------------------------------------------------------------------

    def page_view(self, request: HttpRequest, approval_id: UUID | None = None) -> HttpResponse:
        """The whole page; with an id, that question is open, whatever the list holds."""
        actor = self._actor(request)
        view = View.of(request.GET)
        row = None if approval_id is None else self._row(request, approval_id)
        truth = None if row is None else truth_of(actor, row, row.binding_digest)
        found = listing(actor, view, truth, mark_of(actor, view, truth))
        if row is None and found.rows:
            row = self._row(request, found.rows[0].id)
        context = self.context(
            request,
            title=gettext("Approvals"),
            listing=found,
            view=view,
            is_mine=view.show == MINE,
            is_opened=approval_id is not None,
            now=now_iso(),
            **({} if row is None else self._question(request, actor, row)),
        )
        return TemplateResponse(request, "console/queue/page.html", context)

    def list_view(self, request: HttpRequest) -> HttpResponse:
        """The list as it is now; 304 when it is as the page has it. With `open` and `seen`, also
        what has become of the open question."""
        actor = self._actor(request)
        view = View.of(request.GET)
        truth = self._truth(request, actor)
        mark = mark_of(actor, view, truth)
        if is_unchanged(request.headers, mark):
            return HttpResponseNotModified()
        context = {
            "listing": listing(actor, view, truth, mark),
            "view": view,
            "is_mine": view.show == MINE,
            "now": now_iso(),
        }
        response = TemplateResponse(request, "console/queue/list.html", context)
        response["ETag"] = mark
        return response

    def question_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """One question with its evidence, as a part of the page."""
        actor = self._actor(request)
        context = self._question(request, actor, self._row(request, approval_id))
        return TemplateResponse(request, "console/queue/question.html", context)

    def alike_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """What is asked like this one, and in what it differs."""
        actor = self._actor(request)
        row = self._row(request, approval_id)
        if not access.may_see_payload(actor, row.workspace_id):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_PAYLOAD}.")
        context = {"alike": alike_to(actor, row), "original": row}
        return TemplateResponse(request, "console/queue/alike.html", context)

    # --- answering --------------------------------------------------------------------------------

    def decide_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self._row(request, approval_id)
        return decided(request, self._actor(request), approval_id)

    def try_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self._row(request, approval_id)
        return tried(request, self._actor(request), approval_id)

    def many_view(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return decided_many(request, self._actor(request))

    # --- who and what -----------------------------------------------------------------------------

    def _actor(self, request: HttpRequest) -> Actor:
        if not self.may_open(request):
            raise PermissionDenied(f"This needs the permission {Perm.APPROVAL_VIEW}.")
        return actor_of(request)

    def _row(self, request: HttpRequest, approval_id: UUID) -> Any:
        row = self._admin.get_object(request, str(approval_id))
        if row is None or not self._admin.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def _truth(self, request: HttpRequest, actor: Actor) -> Truth | None:
        given = request.GET.get("open", "")
        try:
            approval_id = UUID(given)
        except ValueError:
            return None
        return truth_of(actor, self._row(request, approval_id), request.GET.get("seen", ""))

    def _question(self, request: HttpRequest, actor: Actor, row: Any) -> dict[str, Any]:
        question = question_shown(actor, row)
        lend = reverse("admin:governance_delegation_add")
        return {
            "question": question,
            "original": row,
            "state": pill(row.state),
            "marks": marks(
                is_irreversible=question.is_irreversible,
                is_privileged=row.is_privileged,
                is_unprotected=question.is_unprotected,
                is_edited=row.edited_arguments is not None,
                is_escalated=row.escalations > 0,
            ),
            "asked": moment(row.created_at),
            "decided": moment(row.decided_at),
            "until": row.expires_at.isoformat() if row.expires_at else "",
            "warn_at": warned_from(row.expires_at, row.expires_seconds),
            "outcome": outcome(row, is_readable=question.is_readable),
            "lend_url": f"{lend}?workspace={row.workspace_id}&delegator={actor.user_id}",
            "may_lend": access.can(actor, Perm.APPROVAL_DECIDE, row.workspace_id),
            "all_url": reverse("admin:governance_approval_change", args=[row.pk]),
            "grant_url": reverse("admin:governance_approval_grant", args=[row.pk]) + "?from=queue",
        }
