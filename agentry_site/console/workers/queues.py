"""What waits, queue by queue, with how much and since when, and where to look closer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.workers.broker import broker_now
from agents.selectors.queues import RunQueue, run_queues
from core import clock
from core.admin import count, moment
from core.errors import DomainError
from governance.contracts import Actor, Perm
from governance.guard.admin import may_somewhere
from governance.selectors.channels import deliveries_waiting
from plugins.contracts import WaitKind
from sandbox.services import sandboxes

LATE: Final = timedelta(seconds=60)
_WAITS: Final = {
    WaitKind.APPROVAL: (_("Runs waiting for an approval"), _("a person must say yes or no")),
    WaitKind.QUESTION: (_("Runs waiting for an answer"), _("an agent has asked a person")),
    WaitKind.CHILDREN: (_("Runs waiting for others"), _("what they delegated is under way")),
    WaitKind.TIMER: (_("Runs waiting for a time"), _("they go on by themselves")),
    WaitKind.BUDGET: (_("Runs waiting for money"), _("a budget has no room for the next call")),
    WaitKind.IN_DOUBT: (_("Runs with a call in doubt"), _("somebody must say what happened")),
    WaitKind.TURN: (_("Runs waiting for their turn"), _("their session is busy")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One line of the page, `key` in every language. `since` is empty where nobody knows; `problem`
    is why there is none."""

    key: str
    title: str
    note: str
    depth: str
    since: SafeString | str
    url: str = ""
    is_late: bool = False
    is_idle: bool = False
    problem: str = ""


def queues_of(actor: Actor, request: HttpRequest) -> list[Queue]:
    """Gather the queues this person may know of: of their workspaces, and with the site's own for
    who runs it. A part that does not answer is a line that says so."""
    found = [_of_runs(queue) for queue in run_queues(actor)]
    if actor.is_superuser or may_somewhere(request, actor, Perm.CHANNEL_VIEW):
        found.append(_of_deliveries(actor))
    if actor.is_superuser:
        found += [_of_sandboxes(), *_of_broker()]
    return found


def _of_runs(queue: RunQueue) -> Queue:
    runs = reverse("admin:agents_run_changelist")
    if queue.wait is WaitKind.NONE:
        return _queue(
            "ready", gettext("Runs ready"), gettext("for the next worker with room"),
            queue.depth, queue.since,
            url=f"{runs}?{urlencode({'state': 'queued'})}", hurries=True,
        )  # fmt: skip
    title, note = _WAITS[queue.wait]
    url = f"{runs}?{urlencode({'state': 'waiting', 'sort': 'oldest'})}"
    return _queue(queue.wait.value, str(title), str(note), queue.depth, queue.since, url=url)


def _of_deliveries(actor: Actor) -> Queue:
    due, since, later = deliveries_waiting(actor)
    note = gettext("messages to channels and letters")
    if later:
        note += gettext("; %(later)s are tried again later") % {"later": count(later)}
    url = f"{reverse('admin:governance_delivery_changelist')}?state__exact=pending"
    title = gettext("Deliveries to send")
    return _queue("deliveries", title, note, due, since, url=url, hurries=True)


def _of_sandboxes() -> Queue:
    title = gettext("Calls waiting for a sandbox")
    try:
        crowd = async_to_sync(sandboxes().crowd)()
    except DomainError as error:
        return Queue(key="sandboxes", title=title, note="", depth="–", since="", problem=str(error))
    if crowd is None:
        note = gettext("this process has opened no sandbox yet")
        return _queue("sandboxes", title, note, 0, None)
    since = clock.now() - timedelta(seconds=crowd.oldest_seconds) if crowd.waiting else None
    note = gettext("%(taken)s of %(at_most)s sandboxes of this host are open") % {
        "taken": crowd.taken,
        "at_most": crowd.at_most,
    }
    return _queue("sandboxes", title, note, crowd.waiting, since, hurries=True)


def _of_broker() -> Iterator[Queue]:
    broker = broker_now()
    if broker is None:
        yield Queue(
            key="celery", title=gettext("Celery"), depth="–",
            note=gettext("no broker: this process does its tasks at once"),
            since="", is_idle=True,
        )  # fmt: skip
        return
    if broker.problem:
        yield Queue(
            key="celery", title=gettext("Celery"), note="", depth="–", since="",
            problem=broker.problem,
        )  # fmt: skip
        return
    for name, depth in broker.waiting:
        yield _queue(
            f"celery-{name}",
            gettext("Celery: %(name)s") % {"name": name},
            gettext("%(taken)s taken and under way") % {"taken": count(broker.taken)},
            depth,
            None,
        )


def _queue(
    key: str,
    title: str,
    note: str,
    depth: int,
    since: datetime | None,
    *,
    url: str = "",
    hurries: bool = False,
) -> Queue:
    return Queue(
        key=key,
        title=title,
        note=note,
        depth=count(depth),
        since=moment(since) if since is not None else "",
        url=url,
        is_late=hurries and since is not None and since < clock.now() - LATE,
        is_idle=not depth,
    )
