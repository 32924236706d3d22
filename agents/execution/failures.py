"""News of failures: the first of an agent for a reason, once in ten minutes, to channels.

A thousand runs that fail for one reason are one message: the page of errors has the rest. What a
run says is not told, only which agent's it was and the code of the reason.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Q

from agents.contracts import RunState
from agents.models import Run
from core import clock
from core.ids import first_id_at
from governance.contracts import ChannelEvent, Perm
from governance.selectors.channels import workspaces_told_of
from governance.services.news import news_write

BUCKET_SECONDS: Final = 600
LOOKED_BACK: Final = timedelta(minutes=20)
OLDEST: Final = timedelta(days=30)  # of runs whose failure is still told
MOST: Final = 1_000  # runs looked at each time and workspace


def failures_tell() -> int:
    """Write down messages of what failed lately and was not told; returns how many are new.

    Safe to run at once elsewhere, and again.
    """
    now = clock.now()
    written = 0
    for workspace in workspaces_told_of(ChannelEvent.RUN_FAILED):
        failed = Run.objects.filter(
            Q(finished_at__gte=now - LOOKED_BACK),
            workspace=workspace,
            state=RunState.FAILED.value,
            depth=0,
            id__gte=first_id_at((now - OLDEST).timestamp()),
        ).order_by("-id")
        first: dict[str, Run] = {}
        for run in failed[:MOST]:
            assert run.finished_at is not None
            first[_key(run, run.finished_at)] = run
        for key, run in first.items():
            written += news_write(
                ChannelEvent.RUN_FAILED,
                workspace=workspace,
                key=key,
                payload=_payload(run, workspace.name),
                needed=Perm.RUN_CONTROL,
            )
    return written


def _key(run: Run, at: datetime) -> str:
    return f"{run.agent_name}:{run.error_code[:20]}:{int(at.timestamp()) // BUCKET_SECONDS}"


def _payload(run: Run, workspace: str) -> dict[str, Any]:
    site = settings.PUBLIC_URL.rstrip("/")
    return {
        "workspace": workspace,
        "title": f"{run.agent_name} ended without an answer",
        "run": str(run.pk),
        "agent": run.agent_name,
        "code": run.error_code,
        "remedy": "The run's page says what to do.",
        "at": run.finished_at.isoformat(timespec="seconds") if run.finished_at else "",
        "link": f"{site}/admin/agents/run/{run.pk}/change/" if site else "",
    }
