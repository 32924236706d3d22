"""Every Celery task has an explicit name, a time limit, and ids as its only arguments."""

import inspect
import typing
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from celery import Task
from django.conf import settings

from tests.architecture.source import APPS, need

ID_TYPES: set[Any] = {str, int, UUID, list[str], tuple[str, ...]}


def _tasks() -> dict[str, Task[Any, Any]]:
    need("agents.tasks")
    from agentry_site.celery import app

    app.loader.import_default_modules()
    return {
        name: task
        for name, task in app.tasks.items()
        if type(task).__module__.split(".")[0] in APPS or task.__module__.split(".")[0] in APPS
    }


def test_there_are_tasks() -> None:
    assert {"agents.pump", "agents.sweep"} <= set(_tasks())


def test_every_task_is_named_after_its_app() -> None:
    misnamed = [
        name
        for name, task in _tasks().items()
        if ".tasks." in name or not name.startswith(f"{task.__module__.split('.')[0]}.")
    ]

    assert misnamed == []


def test_every_task_has_time_limits() -> None:
    endless = [
        name
        for name, task in _tasks().items()
        if not (task.time_limit or settings.CELERY_TASK_TIME_LIMIT)
        or not (task.soft_time_limit or settings.CELERY_TASK_SOFT_TIME_LIMIT)
    ]

    assert endless == []


def test_every_task_takes_ids_and_nothing_else() -> None:
    wrong = {
        f"{name}({parameter})"
        for name, task in _tasks().items()
        for parameter, kind in _parameters(task.run)
        if kind not in ID_TYPES
    }

    assert wrong == set()


def _parameters(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    hints = typing.get_type_hints(function)
    return [
        (name, hints.get(name)) for name in inspect.signature(function).parameters if name != "self"
    ]


@pytest.mark.parametrize(
    ("annotation", "is_id"), [(str, True), (list[str], True), (dict, False), (None, False)]
)
def test_the_rule_tells_ids_from_payloads(annotation: Any, is_id: bool) -> None:
    assert (annotation in ID_TYPES) is is_id


def test_every_scheduled_entry_names_a_task() -> None:
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}

    assert scheduled - set(_tasks()) == set()
