"""The queues of Celery on Redis: rings for workers, and what beat has them do."""

from dataclasses import dataclass
from typing import Any, Final

import redis
from celery import current_app
from django.conf import settings
from django.utils.translation import gettext

_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """`waiting` are messages nobody took, by queue; `taken` are under way. `problem`: no answer."""

    waiting: tuple[tuple[str, int], ...] = ()
    taken: int = 0
    problem: str = ""


def broker_now() -> Broker | None:
    """Ask Redis within a second; None: this site has no broker and does its tasks at once."""
    if not settings.REDIS_URL:
        return None
    # As Celery names them: one list a queue, and one hash of what was taken and not confirmed.
    names = sorted(current_app.amqp.queues) or [current_app.conf.task_default_queue]
    try:
        with redis.Redis.from_url(
            settings.CELERY_BROKER_URL, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        ) as client:
            pipeline: Any = client.pipeline(transaction=False)
            for name in names:
                pipeline.llen(name)
            pipeline.hlen("unacked")
            *depths, taken = pipeline.execute()
    except redis.RedisError as error:
        return Broker(
            problem=gettext("Redis does not answer (%(name)s).") % {"name": type(error).__name__}
        )
    return Broker(waiting=tuple(zip(names, depths, strict=True)), taken=taken)
