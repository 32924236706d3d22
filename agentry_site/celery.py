"""The Celery application. A message carries ids and nothing else; losing one costs seconds."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

from agentry_site.logs import level_set

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")

app = Celery("agentry")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def _keep_the_sites_logging(loglevel: int | str | None = None, **_: Any) -> None:
    """Celery sets up logging of its own unless somebody answers this signal."""
    level_set(loglevel)


setup_logging.connect(_keep_the_sites_logging, weak=False)
