"""Every socket is guarded: routed as a live view, with the gate that asks who may follow what."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.architecture.source import need

_DEPTH = 8


def _parts(thing: Any) -> Iterable[Any]:
    """What an ASGI application is built of: attributes, entries, and what a function encloses."""
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, list | tuple):
        return thing
    cells = getattr(thing, "__closure__", None) or ()
    return [*getattr(thing, "__dict__", {}).values(), *(cell.cell_contents for cell in cells)]


def _routers(application: Any) -> list[Any]:
    from channels.routing import URLRouter

    found: list[Any] = []
    seen: set[int] = set()
    layer = [application]
    for _ in range(_DEPTH):
        layer = [part for part in layer if id(part) not in seen]
        seen |= {id(part) for part in layer}
        found += [part for part in layer if isinstance(part, URLRouter)]
        layer = [inner for part in layer if not isinstance(part, type) for inner in _parts(part)]
    return found


@pytest.fixture(scope="module")
def consumers() -> list[Any]:
    need("agentry_site.asgi")
    from agentry_site.asgi import application

    found = [route.callback for router in _routers(application) for route in router.routes]
    assert found, "no socket routes were found in the site's ASGI application"
    return found


def test_every_consumer_is_a_live_view(consumers: list[Any]) -> None:
    """Its base opens a view through the gate before anything is sent."""
    from observability.live.websocket import LiveConsumer

    others = [
        consumer.consumer_class.__name__
        for consumer in consumers
        if not issubclass(consumer.consumer_class, LiveConsumer)
    ]

    assert others == []


def test_every_consumer_asks_the_gate(consumers: list[Any]) -> None:
    from governance.guard.consumers import AccessGate

    gateless = [
        consumer.consumer_class.__name__
        for consumer in consumers
        if not isinstance(consumer.consumer_class(**consumer.consumer_initkwargs)._gate, AccessGate)
    ]

    assert gateless == []
