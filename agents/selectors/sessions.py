"""Reading conversations."""

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from agents.models import Message, Session
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
    return Message.objects.filter(run__session=session, run__is_rolled_back=False).order_by("pk")
