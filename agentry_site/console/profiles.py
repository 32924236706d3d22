"""Profiles: which processes there are, how late their loops are, and where their time goes.

Only for superusers: a profile tells of every workspace's work at once. The page asks; the process
that is asked samples itself (`observability.execution.process_watch`).
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.pages import Page
from core import clock
from core.admin import count, duration, moment, pill
from core.errors import DomainError, NotAuthenticatedError, NotFoundError, PermissionDeniedError
from governance.contracts import Actor
from governance.guard.authentication import actor_of
from observability.contracts import ProfileState
from observability.selectors.profiles import (
    ProcessSeen,
    ProfileSeen,
    processes_seen,
    profile_get,
    profile_stacks,
    profiles_seen,
    profiling_is_open_to,
    profiling_require,
    slow_callbacks_seen,
    speedscope_document,
)
from observability.services import profile_delete, profile_request

SECONDS: Final = (5, 10, 30, 60)
SHOWN_SLOW: Final = 50
_WORDS: Final = {
    ProfileState.REQUESTED.value: ("queued", _("asked for")),
    ProfileState.RUNNING.value: ("running", _("sampling")),
    ProfileState.DONE.value: ("succeeded", _("done")),
    ProfileState.FAILED.value: ("failed", _("failed")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRow:
    id: UUID
    name: str
    kind: str
    host: str
    pid: int
    version: str
    state: SafeString
    is_alive: bool
    lag: str
    lag_p99: str
    is_late: bool
    slow: int
    started: SafeString | str
    seen: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    id: UUID
    process: str
    state: SafeString
    is_underway: bool
    is_done: bool
    elapsed: int
    seconds: int
    samples: int
    counted: str  # `samples` in words
    asked: SafeString | str
    by: str
    problem: str
    remedy: str
    url: str


class Profiles(Page):
    name = "profiles"

    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("profiles/", view(self.page_view), name=self.name),
            path("profiles/live/", view(self.live_view), name="profiles_live"),
            path("profiles/start/", view(self.start_view), name="profiles_start"),
            path("profiles/<uuid:pk>/", view(self.profile_view), name="profiles_one"),
            path("profiles/<uuid:pk>/stacks.txt", view(self.stacks_view), name="profiles_stacks"),
            path(
                "profiles/<uuid:pk>/speedscope.json",
                view(self.speedscope_view),
                name="profiles_speedscope",
            ),
            path("profiles/<uuid:pk>/delete/", view(self.delete_view), name="profiles_delete"),
        ]

    def may_open(self, request: HttpRequest) -> bool:
        try:
            return profiling_is_open_to(actor_of(request))
        except NotAuthenticatedError:
            return False

    def page_view(self, request: HttpRequest) -> HttpResponse:
        actor = _actor(request)
        context = self.context(
            request,
            title=gettext("Profiles"),
            choices=SECONDS,
            chosen=request.GET.get("process", ""),
        )
        return TemplateResponse(request, "console/profiles/page.html", context | _live(actor))

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """The part of the page that changes by itself."""
        return TemplateResponse(request, "console/profiles/live.html", _live(_actor(request)))

    def start_view(self, request: HttpRequest) -> HttpResponse:
        actor = _actor(request)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            profile = profile_request(
                actor,
                process_id=UUID(request.POST.get("process", "")),
                seconds=int(request.POST.get("seconds", "")),
                with_idle=request.POST.get("with_idle") == "on",
            )
        except ValueError:
            messages.error(request, gettext("Choose a process and for how many seconds."))
        except DomainError as error:
            messages.error(request, str(error))
        else:
            return redirect("admin:profiles_one", pk=profile.id)
        return redirect("admin:profiles")

    def profile_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """One profile: its progress, its flamegraph, or why there is none."""
        profile = _found(lambda: profile_get(_actor(request), pk))
        row = _profile_row(profile)
        context = self.context(
            request, title=gettext("Profile"), profile=row, with_idle=profile.with_idle
        )
        return TemplateResponse(request, "console/profiles/profile.html", context)

    def stacks_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Collapsed stacks, for the page and for other programs."""
        stacks = _found(lambda: profile_stacks(_actor(request), pk))
        return _file(stacks, "text/plain; charset=utf-8", f"profile-{pk}.txt")

    def speedscope_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        actor = _actor(request)
        profile = _found(lambda: profile_get(actor, pk))
        stacks = _found(lambda: profile_stacks(actor, pk))
        document = speedscope_document(stacks, name=profile.process, rate=profile.rate)
        return _file(document, "application/json", f"profile-{pk}.speedscope.json")

    def delete_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        actor = _actor(request)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        profile_delete(actor, profile_id=pk)
        messages.success(request, gettext("The profile was removed."))
        return redirect("admin:profiles")


def _actor(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    try:
        profiling_require(actor)
    except PermissionDeniedError as error:
        raise PermissionDenied(str(error)) from error
    return actor


def _found(read: Any) -> Any:
    try:
        return read()
    except NotFoundError as error:
        raise Http404(str(error)) from error


def _file(content: str, media_type: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type=media_type, headers=headers)


def _live(actor: Actor) -> dict[str, Any]:
    rows = [_process_row(seen) for seen in processes_seen(actor)]
    return {
        "processes": rows,
        "alive": [row for row in rows if row.is_alive],
        "profiles": [_profile_row(seen) for seen in profiles_seen(actor)],
        "slow": [
            {
                "at": moment(slow.at),
                "process": slow.process,
                "seconds": duration(slow.seconds),
                "where": slow.where,
                "stack": slow.stack,
            }
            for slow in slow_callbacks_seen(actor, most=SHOWN_SLOW)
        ],
    }


def _process_row(seen: ProcessSeen) -> ProcessRow:
    return ProcessRow(
        id=seen.id,
        name=seen.name,
        kind=seen.kind,
        host=seen.host,
        pid=seen.pid,
        version=seen.version,
        state=pill("alive" if seen.is_alive else "silent"),
        is_alive=seen.is_alive,
        lag=_lag(seen.lag_seconds),
        lag_p99=_lag(seen.lag_p99_seconds),
        is_late=(seen.lag_p99_seconds or 0) >= settings.LOOP_LAG_SECONDS,
        slow=seen.slow_callbacks,
        started=moment(seen.started_at),
        seen=moment(seen.seen_at),
    )


def _lag(seconds: float | None) -> str:
    """Lags are told in milliseconds, however small: `duration` says 0 ms of most of them."""
    return gettext("not watched") if seconds is None else f"{seconds * 1000:.1f} ms"


def _profile_row(seen: ProfileSeen) -> ProfileRow:
    word, label = _WORDS[seen.state]
    elapsed = (clock.now() - seen.started_at).total_seconds() if seen.started_at else 0.0
    return ProfileRow(
        id=seen.id,
        process=seen.process,
        state=pill(word, label=str(label)),
        is_underway=seen.is_underway,
        is_done=seen.state == ProfileState.DONE.value,
        elapsed=min(int(elapsed), seen.seconds),
        seconds=seen.seconds,
        samples=seen.samples,
        counted=count(seen.samples),
        asked=moment(seen.requested_at),
        by=seen.requested_by,
        problem=seen.problem,
        remedy=seen.remedy,
        url=reverse("admin:profiles_one", args=[seen.id]),
    )
