"""Activity: what changed, in the workspaces where the actor may know it."""

from auditlog.models import LogEntry
from django.db.models import QuerySet

from governance import access
from governance.contracts import Actor, Perm


def activity_list(actor: Actor) -> QuerySet[LogEntry]:
    """Return entries, newest first. Entries outside any workspace (users) are a superuser's."""
    rows: QuerySet[LogEntry] = LogEntry.objects.select_related("actor", "content_type").order_by(
        "-pk"
    )
    if actor.is_superuser and actor.scopes is None and actor.workspace_id is None:
        return rows
    permitted = access.permitted_workspace_ids(actor, Perm.ACTIVITY_VIEW)
    # The workspace is text inside JSON, which no subquery of ids compares with on every database.
    inside: QuerySet[LogEntry] = rows.filter(
        additional_data__workspace__in=[str(pk) for pk in permitted]
    )
    return inside
