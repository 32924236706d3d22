"""Find anything: names and ids of whatever this person may see, in one list.

Rows come from the guarded pages of the console, so that nothing is found here that its own list
would not show. What a run says is not searched: that is the runs list's work.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.pages import Page, list_url, open_list
from core.admin import moment, pill

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SHOWN: Final = 5  # of each kind
READ: Final = 50  # of each kind, to put the best ones first
LONGEST: Final = 100
SHORTEST_ID: Final = 6  # hexadecimal digits; fewer are more likely a word
_ID_DIGITS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    title: str
    url: str
    note: SafeString | str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGroup:
    title: str
    icon: str
    rows: tuple[Found, ...]


def _nothing(_row: Any) -> str:
    return ""


def _state(row: Any) -> SafeString:
    return pill(row.state)


def _state_and_time(row: Any) -> SafeString:
    return format_html("{} {}", pill(row.state), moment(row.created_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows of one model: found by `names`, which are looked through, or by the start of the id."""

    model: str
    title: "StrOrPromise"
    icon: str
    names: tuple[str, ...] = ()
    note: Callable[[Any], SafeString | str] = field(default=_nothing)

    def rows(self, site: Any, request: HttpRequest, words: str) -> tuple[Found, ...]:
        page = open_list(site, request, self.model)
        if page is None:
            return ()
        rows: QuerySet[Any] = page.get_queryset(request)
        found = [*self._by_id(rows, words), *self._by_name(rows, words)]
        address = f"admin:{self.model.lower().replace('.', '_')}_change"
        return tuple(
            Found(title=str(row), url=reverse(address, args=[row.pk]), note=self.note(row))
            for row in found[:SHOWN]
        )

    def _by_id(self, rows: QuerySet[Any], words: str) -> list[Any]:
        """Those whose id begins so: a range of the primary key, never a scan."""
        digits = words.replace("-", "").lower()
        is_id = SHORTEST_ID <= len(digits) <= _ID_DIGITS and not set(digits) - set(
            "0123456789abcdef"
        )
        if not is_id:
            return []
        first, last = (UUID(digits.ljust(_ID_DIGITS, end)) for end in "0f")
        return list(rows.filter(pk__gte=first, pk__lte=last).order_by("-pk")[:SHOWN])

    def _by_name(self, rows: QuerySet[Any], words: str) -> list[Any]:
        if not self.names:
            return []
        wanted = Q()
        for name in self.names:
            wanted |= Q(**{f"{name}__icontains": words})
        return sorted(rows.filter(wanted)[:READ], key=lambda row: _rank(str(row), words))


def _rank(title: str, words: str) -> tuple[int, str]:
    """The very name first, then those that begin so, then the others."""
    name, wanted = title.lower(), words.lower()
    return (0 if name == wanted else 1 if name.startswith(wanted) else 2, name)


SOURCES: Final = (
    Source(model="agents.Run", title=_("Runs"), icon="runs", note=_state_and_time),
    Source(
        model="governance.Approval", title=_("Approvals"), icon="approvals", note=_state_and_time
    ),
    Source(model="plugins.ToolCall", title=_("Tool calls"), icon="calls", note=_state),
    Source(
        model="agents.Session", title=_("Sessions"), icon="sessions", names=("title", "agent__name")
    ),
    Source(model="agents.Agent", title=_("Agents"), icon="agents", names=("name", "description")),
    Source(model="plugins.ToolDefinition", title=_("Tools"), icon="tools", names=("name",)),
    Source(model="agents.Model", title=_("Models"), icon="models", names=("name", "vendor_name")),
    Source(model="agents.Provider", title=_("Providers"), icon="providers", names=("name",)),
    Source(
        model="governance.Policy", title=_("Policies"), icon="roles", names=("workspace__name",)
    ),
    Source(model="governance.Secret", title=_("Secrets"), icon="seal", names=("name",)),
    Source(model="governance.Channel", title=_("Channels"), icon="routes", names=("name",)),
    Source(
        model="governance.Workspace",
        title=_("Workspaces"),
        icon="workspaces",
        names=("name", "title"),
    ),
    Source(model="governance.User", title=_("Users"), icon="users", names=("username", "email")),
    Source(model="governance.Role", title=_("Roles"), icon="roles", names=("name",)),
    Source(model="governance.ApiToken", title=_("Tokens"), icon="tokens", names=("name", "prefix")),
    Source(model="agents.Worker", title=_("Workers"), icon="workers", names=("name", "host")),
)


class Find(Page):
    """The page, and with `part=1` only its list, for the palette."""

    name = "find"

    def urls(self) -> list[URLPattern]:
        return [path("find/", self.site.admin_view(self.page_view), name=self.name)]

    def may_open(self, request: HttpRequest) -> bool:
        return self.site.has_permission(request)

    def page_view(self, request: HttpRequest) -> HttpResponse:
        words = request.GET.get("q", "").strip()[:LONGEST].replace("\x00", "")
        found = tuple(self._groups(request, words)) if words else ()
        context = {"words": words, "groups": found}
        if "part" in request.GET:
            return TemplateResponse(request, "console/find/results.html", context)
        title = gettext("Found for “%(words)s”") % {"words": words} if words else gettext("Find")
        return TemplateResponse(
            request, "console/find/page.html", self.context(request, title=title, **context)
        )

    def _groups(self, request: HttpRequest, words: str) -> Iterator[FoundGroup]:
        for source in SOURCES:
            rows = source.rows(self.site, request, words)
            if source.model == "agents.Agent":
                rows = (*rows, *map(_runs_of, rows))
            if rows:
                yield FoundGroup(title=str(source.title), icon=source.icon, rows=rows)


def _runs_of(agent: Found) -> Found:
    title = gettext("Runs of %(title)s") % {"title": agent.title}
    return Found(title=title, url=list_url("agents.Run", [("q", agent.title)]))
