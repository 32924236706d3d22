"""Domain events: news that travels up the import chain after its transaction has committed.

An event says what happened, in the past tense, in a frozen record. Publishers know no subscriber.
Delivery is in this process, once, best effort: whoever must not miss an event also has a periodic
sweep in the database behind it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from django.db import transaction

logger = structlog.get_logger(__name__)


class DomainEvent:
    """Base of all events; subclasses are frozen, slotted, keyword-only dataclasses."""

    __slots__ = ()


E = TypeVar("E", bound=DomainEvent)

_handlers: dict[type[DomainEvent], tuple[Callable[[Any], None], ...]] = {}


def subscribe(kind: type[E], handler: Callable[[E], None]) -> Callable[[], None]:
    """Call `handler` with every later event of exactly this type; return a way to stop it.

    Subscribing the same handler twice is the same as once, so `ready()` may run again.
    """
    known = _handlers.get(kind, ())
    if handler not in known:
        _handlers[kind] = (*known, handler)

    def unsubscribe() -> None:
        _handlers[kind] = tuple(other for other in _handlers.get(kind, ()) if other != handler)

    return unsubscribe


def subscriptions() -> dict[type[DomainEvent], tuple[Callable[[Any], None], ...]]:
    """Return who listens to what (a copy)."""
    return {kind: handlers for kind, handlers in _handlers.items() if handlers}


def publish(event: DomainEvent) -> None:
    """Deliver `event` when the current transaction commits; at once when there is none.

    A rolled back transaction publishes nothing.
    """
    transaction.on_commit(lambda: deliver(event))


def deliver(event: DomainEvent) -> None:
    """Hand `event` to its subscribers now; a failing one is logged and does not stop the rest."""
    for handler in _handlers.get(type(event), ()):
        try:
            handler(event)
        except Exception:  # a subscriber must not undo what has been committed
            logger.exception(
                "event_handler_failed",
                event_type=type(event).__name__,
                handler=getattr(handler, "__qualname__", repr(handler)),
            )
