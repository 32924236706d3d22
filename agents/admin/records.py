"""What the engine writes, to read: sessions, messages, checkpoints, snapshots, workers."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agents.models import Checkpoint, Message, RunEdit, RunSnapshot, Session, Worker
from agents.selectors.workers import worker_is_alive
from core.admin import NOTHING, json_block, moment_column, pill, row_link, short_id
from governance.contracts import Perm
from governance.guard.admin import SITE_ADMIN, GuardedAdmin


def _run_link(run_id: object) -> SafeString:
    return row_link("agents_run", run_id, short_id(run_id))


@admin.register(Session)
class SessionAdmin(GuardedAdmin):
    view_perm = Perm.SESSION_VIEW
    explanation = _("Conversations with an agent. At most one run of a session is active.")
    list_display = ("name", "agent", "strategy", "runs_shown", "workspace", "created")
    list_filter = ("agent", "strategy", "workspace")
    list_select_related = ("agent", "workspace")
    search_fields = ("id__istartswith", "title__icontains", "agent__name__icontains")
    search_help_text = "Title, agent, or the beginning of an id"
    fields = ("agent", "title", "strategy", "runs_link", "workspace", "created_at")
    readonly_fields = ("runs_link",)
    actions = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(run_count=Count("runs"))
        return rows

    @admin.display(description=_("Session"))
    def name(self, session: Session) -> str:
        return session.title or f"…{str(session.pk)[-8:]}"

    @admin.display(description=_("Runs"), ordering="run_count")
    def runs_shown(self, session: Any) -> int:
        return int(session.run_count)

    @admin.display(description=_("Runs"))
    def runs_link(self, session: Any) -> SafeString:
        url = reverse("admin:agents_run_changelist") + f"?session__id__exact={session.pk}"
        words = ngettext("%(n)s run", "%(n)s runs", session.run_count) % {"n": session.run_count}
        return format_html('<a href="{}">{}</a>', url, words)

    created = moment_column("created_at", _("Created"))


@admin.register(Message)
class MessageAdmin(GuardedAdmin):
    """The content of history, so it takes the permission to see payloads."""

    view_perm = Perm.RUN_PAYLOAD
    workspace_path = "run__workspace"
    explanation = _("Every entry of every run's history. A run's own page is easier to read.")
    list_display = ("run_shown", "position", "role", "gist", "created")
    list_display_links = ("position",)  # the first column leads to the run
    list_filter = ("role",)
    search_fields = ("run__id__istartswith",)
    search_help_text = "The beginning of a run's id"
    ordering = ("-created_at", "-position")
    fields = ("run_shown", "position", "role", "parts_shown", "created_at")
    readonly_fields = ("run_shown", "parts_shown")
    actions = ()

    @admin.display(description=_("Run"))
    def run_shown(self, message: Message) -> SafeString:
        return _run_link(message.run_id)

    @admin.display(description=_("Begins"))
    def gist(self, message: Message) -> SafeString:
        first = message.parts[0] if message.parts else {}
        text = first.get("content") or first.get("result") or first.get("name") or NOTHING
        return format_html('<span class="excerpt">{}</span>', " ".join(str(text)[:200].split()))

    @admin.display(description=_("Parts"))
    def parts_shown(self, message: Message) -> SafeString:
        return json_block(message.parts)

    created = moment_column("created_at", _("Written"))


@admin.register(Checkpoint)
class CheckpointAdmin(GuardedAdmin):
    view_perm = Perm.RUN_PAYLOAD
    workspace_path = "run__workspace"
    explanation = _("Points runs can be resumed or forked from.")
    list_display = ("run_shown", "sequence", "message_count", "phase", "created")
    list_display_links = ("sequence",)  # the first column leads to the run
    search_fields = ("run__id__istartswith",)
    search_help_text = "The beginning of a run's id"
    ordering = ("-created_at", "-sequence")
    fields = (
        "run_shown",
        "sequence",
        "message_count",
        "workspace_digest",
        "state_shown",
        "created_at",
    )
    readonly_fields = ("run_shown", "state_shown")
    actions = ()

    @admin.display(description=_("Run"))
    def run_shown(self, checkpoint: Checkpoint) -> SafeString:
        return _run_link(checkpoint.run_id)

    @admin.display(description=_("Phase"))
    def phase(self, checkpoint: Checkpoint) -> str:
        return str(checkpoint.state.get("phase", "model"))

    @admin.display(description=_("Engine state"))
    def state_shown(self, checkpoint: Checkpoint) -> SafeString:
        return json_block(checkpoint.state)

    created = moment_column("created_at", _("Written"))


@admin.register(RunEdit)
class RunEditAdmin(GuardedAdmin):
    """What was changed is what runs are about, so it takes the permission to see payloads."""

    view_perm = Perm.RUN_PAYLOAD
    workspace_path = "run__workspace"
    lesson = "console/lessons/edits.html"
    explanation = _("What people changed about runs that stood still, with what was there before.")
    list_display = ("run_shown", "sequence", "kind", "position", "edited_by_name", "created")
    list_display_links = ("sequence",)  # the first column leads to the run
    list_filter = ("kind",)
    search_fields = ("run__id__istartswith", "edited_by_name__icontains")
    search_help_text = "The beginning of a run's id, or who changed something"
    ordering = ("-created_at", "-sequence")
    fields = (
        "run_shown",
        "sequence",
        "kind",
        "position",
        "index",
        "before_shown",
        "after_shown",
        "edited_by_name",
        "created_at",
    )
    readonly_fields = ("run_shown", "before_shown", "after_shown")
    actions = ()

    @admin.display(description=_("Run"))
    def run_shown(self, edit: RunEdit) -> SafeString:
        return _run_link(edit.run_id)

    @admin.display(description=_("Before"))
    def before_shown(self, edit: RunEdit) -> SafeString | str:
        return NOTHING if edit.before is None else json_block(edit.before)

    @admin.display(description=_("After"))
    def after_shown(self, edit: RunEdit) -> SafeString:
        return json_block(edit.after)

    created = moment_column("created_at", _("Changed"))


@admin.register(RunSnapshot)
class RunSnapshotAdmin(GuardedAdmin):
    """Prompts are rendered with the run's variables, so this too is payload."""

    view_perm = Perm.RUN_PAYLOAD
    explanation = _("What runs were started with, kept once for all that share it.")
    list_display = ("digest_shown", "agent", "version", "workspace", "created")
    list_filter = ("workspace",)
    list_select_related = ("workspace",)
    search_fields = ("digest__startswith",)
    ordering = ("-created_at",)
    fields = ("digest", "workspace", "content_shown", "created_at")
    readonly_fields = ("content_shown",)
    actions = ()

    @admin.display(description=_("Digest"))
    def digest_shown(self, snapshot: RunSnapshot) -> SafeString:
        return format_html('<code title="{}">{}</code>', snapshot.digest, snapshot.digest[:12])

    @admin.display(description=_("Agent"))
    def agent(self, snapshot: RunSnapshot) -> str:
        return str(snapshot.content.get("agent", NOTHING))

    @admin.display(description=_("Version"))
    def version(self, snapshot: RunSnapshot) -> str:
        return f"v{snapshot.content.get('version', NOTHING)}"

    @admin.display(description=_("Content"))
    def content_shown(self, snapshot: RunSnapshot) -> SafeString:
        return json_block(snapshot.content)

    created = moment_column("created_at", _("First used"))


@admin.register(Worker)
class WorkerAdmin(GuardedAdmin):
    """Workers belong to the site, not to a workspace: only superusers see them."""

    view_perm = SITE_ADMIN
    explanation = _("Engine processes, as they last reported themselves.")
    lesson = "console/lessons/workers.html"
    list_display = ("name", "state_shown", "load", "version", "started", "seen")
    search_fields = ("name", "host")
    fields = (
        "name", "host", "pid", "version", "capacity", "running", "is_draining", "started_at",
        "seen_at",
    )  # fmt: skip
    actions = ()

    @admin.display(description=_("State"))
    def state_shown(self, worker: Worker) -> SafeString:
        if not worker_is_alive(worker):
            return pill("silent")
        return pill("draining" if worker.is_draining else "alive")

    @admin.display(description=_("Load"), ordering="running")
    def load(self, worker: Worker) -> SafeString:
        return format_html(
            '<meter min="0" max="{}" value="{}" aria-label="{}"></meter> {}',
            worker.capacity, worker.running, gettext("load"),
            gettext("%(running)s of %(capacity)s")
            % {"running": worker.running, "capacity": worker.capacity},
        )  # fmt: skip

    started = moment_column("started_at", _("Started"))

    seen = moment_column("seen_at", _("Heard of"))
