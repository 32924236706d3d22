"""The sidebar: pages grouped by what people come to do; each person sees those that would open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page in the sidebar: a model's, or one of our own by its `page` name.

    `key` is what follows `g` on the keyboard.
    """

    title: "StrOrPromise"
    icon: str
    model: str = ""
    page: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    title: str
    icon: str
    url: str
    key: str = ""
    is_current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    title: str
    entries: tuple[Entry, ...]


GROUPS: Final["tuple[tuple[StrOrPromise, tuple[Place, ...]], ...]"] = (
    (
        _("Work"),
        (
            Place(model="agents.Run", title=_("Runs"), icon="runs", key="r"),
            Place(page="approval_queue", title=_("Approvals"), icon="approvals", key="p"),
            Place(model="plugins.ToolCall", title=_("Tool calls"), icon="calls", key="c"),
            Place(model="agents.Session", title=_("Sessions"), icon="sessions"),
            Place(model="agents.SavedFilter", title=_("Saved filters"), icon="star"),
        ),
    ),
    (
        _("Watch"),
        (
            Place(page="cost", title=_("Cost"), icon="cost", key="o"),
            Place(model="governance.Budget", title=_("Budgets"), icon="budget", key="b"),
            Place(page="errors", title=_("Errors"), icon="warning", key="e"),
            Place(page="workers", title=_("Workers"), icon="workers", key="w"),
            Place(page="profiles", title=_("Profiles"), icon="profile"),
            Place(page="trace_viewer", title=_("Trace viewer"), icon="events", key="v"),
        ),
    ),
    (
        _("Agents"),
        (
            Place(model="agents.Agent", title=_("Agents"), icon="agents", key="a"),
            Place(model="agents.AgentVersion", title=_("Versions"), icon="versions"),
            Place(model="plugins.ToolDefinition", title=_("Tools"), icon="tools"),
        ),
    ),
    (
        _("Models"),
        (
            Place(model="agents.Provider", title=_("Providers"), icon="providers"),
            Place(model="agents.Model", title=_("Models"), icon="models"),
            Place(model="agents.ModelRoute", title=_("Routes"), icon="routes"),
            Place(model="agents.ModelPrice", title=_("Prices"), icon="cost"),
            Place(model="agents.PriceList", title=_("Price lists"), icon="records"),
        ),
    ),
    (
        _("Governance"),
        (
            Place(model="governance.Policy", title=_("Policies"), icon="roles"),
            Place(model="governance.PolicyDifference", title=_("Shadow answers"), icon="versions"),
            Place(model="governance.Approval", title=_("All approvals"), icon="approvals"),
            Place(model="governance.Grant", title=_("Grants"), icon="seal"),
            Place(model="governance.Delegation", title=_("Delegations"), icon="users"),
            Place(model="governance.Secret", title=_("Secrets"), icon="seal"),
            Place(model="governance.Channel", title=_("Channels"), icon="routes"),
            Place(model="governance.Delivery", title=_("Deliveries"), icon="records"),
        ),
    ),
    (
        _("Access"),
        (
            Place(model="governance.User", title=_("Users"), icon="users"),
            Place(model="governance.Workspace", title=_("Workspaces"), icon="workspaces"),
            Place(model="governance.Membership", title=_("Members"), icon="members"),
            Place(model="governance.Role", title=_("Roles"), icon="roles"),
            Place(model="governance.ApiToken", title=_("Tokens"), icon="tokens"),
            Place(page="documents", title=_("Import and export"), icon="download"),
            Place(page="site_settings", title=_("Settings"), icon="gear"),
        ),
    ),
    (
        _("Proof"),
        (
            Place(model="governance.AuditEntry", title=_("Audit"), icon="audit"),
            Place(model="governance.AuditCheckpoint", title=_("Signatures"), icon="seal"),
            Place(model="auditlog.LogEntry", title=_("Activity"), icon="activity"),
        ),
    ),
    (
        _("Records"),
        (
            Place(model="observability.TraceEvent", title=_("Trace events"), icon="events"),
            Place(model="agents.Message", title=_("Messages"), icon="records"),
            Place(model="agents.Checkpoint", title=_("Checkpoints"), icon="records"),
            Place(model="agents.RunEdit", title=_("Edits of runs"), icon="edit"),
            Place(model="agents.Worker", title=_("Worker processes"), icon="workers"),
            Place(model="agents.RunSnapshot", title=_("Snapshots"), icon="records"),
            Place(model="observability.Blob", title=_("Stored texts"), icon="records"),
            Place(model="governance.PolicyVersion", title=_("Policy versions"), icon="versions"),
            Place(model="governance.ApprovalVote", title=_("Votes"), icon="records"),
            Place(model="governance.Reservation", title=_("Reservations"), icon="records"),
            Place(model="governance.GrantUse", title=_("Uses of grants"), icon="records"),
        ),
    ),
)


def groups_for(
    apps: Iterable[Mapping[str, Any]], pages: Iterable[str], *, path: str, index_url: str
) -> tuple[Group, ...]:
    """Return the groups of what `apps` (Django's list of permitted pages) and `pages` hold.

    A model's page that no group names comes last, so that nothing registered is out of reach.
    """
    names = {
        model["model"]._meta.label: str(model["name"])
        for app in apps
        for model in app["models"]
        if model["admin_url"]
    }
    urls = {
        model["model"]._meta.label: str(model["admin_url"])
        for app in apps
        for model in app["models"]
        if model["admin_url"]
    } | {name: reverse(f"admin:{name}") for name in pages}
    overview = Entry(
        title=gettext("Overview"),
        icon="overview",
        url=index_url,
        key="h",
        is_current=path == index_url,
    )
    groups = [Group(title="", entries=(overview,))]
    for title, places in GROUPS:
        entries = tuple(
            _entry(place, urls.pop(place.page or place.model), path)
            for place in places
            if (place.page or place.model) in urls
        )
        if entries:
            groups.append(Group(title=str(title), entries=entries))
    rest = tuple(
        _entry(Place(title=names[label], icon="records"), url, path)
        for label, url in sorted(urls.items())
        if label in names
    )
    return (*groups, Group(title=gettext("More"), entries=rest)) if rest else tuple(groups)


def place_of(groups: Iterable[Group]) -> str:
    """Return what the sidebar calls the page that is open, so that the page can say the same."""
    current = (entry.title for group in groups for entry in group.entries if entry.is_current)
    return next(current, "")


def _entry(place: Place, url: str, path: str) -> Entry:
    return Entry(
        title=str(place.title),
        icon=place.icon,
        url=url,
        key=place.key,
        is_current=path.startswith(url),
    )
