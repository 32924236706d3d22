"""Celery tasks: thin, ids only, safe twice, and each backed by a poll or a sweep."""

from celery import shared_task

from agents.engine_process import host_ring
from agents.execution.failures import failures_tell
from agents.execution.sweep import sweep as sweep_runs
from agents.selectors.usage import usage_keys
from governance.services.budget_news import budgets_tell
from observability.services import usage_fold_all


@shared_task(name="agents.pump", soft_time_limit=10, time_limit=20)
def pump() -> None:
    """Ring the engine of the worker process that got this message."""
    host_ring()


@shared_task(name="agents.sweep", soft_time_limit=60, time_limit=90)
def sweep() -> None:
    """Repair what messages, races and dead workers left behind."""
    if sweep_runs().total:
        host_ring()


@shared_task(name="agents.failures", soft_time_limit=50, time_limit=60)
def failures() -> None:
    """Write down news of runs that failed, and of budgets that run out."""
    failures_tell()
    budgets_tell()


@shared_task(name="agents.usage", soft_time_limit=60, time_limit=90)
def usage() -> None:
    """Add what models have answered since to the hours of usage."""
    usage_fold_all(usage_keys)
