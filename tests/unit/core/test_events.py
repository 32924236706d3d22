"""Events reach their subscribers, whatever one of them does."""

from dataclasses import dataclass

from core.events import DomainEvent, deliver, subscribe, subscriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Rang(DomainEvent):
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(DomainEvent):
    pass


def test_an_event_reaches_subscribers_of_its_type_in_order() -> None:
    heard: list[str] = []
    stops = [
        subscribe(Rang, lambda event: heard.append(f"a{event.times}")),
        subscribe(Rang, lambda event: heard.append(f"b{event.times}")),
        subscribe(Stopped, lambda _event: heard.append("stopped")),
    ]
    assert set(subscriptions()) >= {Rang, Stopped}
    deliver(Rang(times=3))
    for stop in stops:
        stop()
    deliver(Rang(times=4))
    assert heard == ["a3", "b3"]
    assert Rang not in subscriptions()


def test_a_failing_subscriber_does_not_hurt_the_others() -> None:
    heard: list[int] = []

    def explode(_: Rang) -> None:
        raise RuntimeError("no")

    stops = [subscribe(Rang, explode), subscribe(Rang, lambda event: heard.append(event.times))]
    deliver(Rang(times=1))
    for stop in stops:
        stop()
    assert heard == [1]


def test_subscribing_twice_is_subscribing_once() -> None:
    heard: list[Rang] = []
    stop = subscribe(Rang, heard.append)
    handler = subscriptions()[Rang][0]
    subscribe(Rang, handler)
    deliver(Rang(times=1))
    stop()
    assert heard == [Rang(times=1)]
