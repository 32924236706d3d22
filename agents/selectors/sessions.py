"""Reading conversations."""

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from agents.models import Message, Run, Session
from agents.selectors.edits import as_seen_of_each
from governance import access
from governance.contracts import Actor, Perm

if TYPE_CHECKING:
    from governance.models import Workspace


def session_list(*, actor: Actor, workspace: "Workspace") -> QuerySet[Session]:
    rows = Session.objects.filter(workspace=workspace).select_related("agent")
    return access.scope(actor, Perm.SESSION_VIEW, rows)


def session_messages(session: Session) -> QuerySet[Message]:
    """Return what was said, oldest first; runs that newer input rolled back are left out.

    The caller has checked that the session may be seen.
    """
    rows = Message.objects.filter(run__session=session, run__is_rolled_back=False).order_by("pk")
    edited = Run.objects.filter(session=session, debug_version__gt=0).values_list("pk", flat=True)
    return as_seen_of_each(rows) if edited.exists() else rows
