"""When a question is asked again, when it is not, how many at once, and when a vendor is spared."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from agents.contracts import (
    Completed,
    CompletionRequest,
    Delta,
    FinishReason,
    Message,
    Role,
    TextDelta,
    TextPart,
    Usage,
    user_message,
)
from agents.errors import (
    ProviderAuthError,
    ProviderConnectionError,
    ProviderError,
    ProviderOverloadedError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderTimeoutError,
)
from agents.providers.breaker import Breaker
from agents.providers.retry import FallbackProvider, RetryingProvider, RetryPolicy
from tests.conformance.provider.subjects import ask

REQUEST = ask(user_message("go"))


def done(text: str = "fine", model: str = "") -> Completed:
    message = Message(role=Role.ASSISTANT, parts=(TextPart(text),))
    return Completed(message=message, usage=Usage(), finish=FinishReason.STOP, model=model)


class Played:
    """Plays one list of deltas and errors an attempt; the last list is played for ever."""

    def __init__(self, *attempts: list[Delta | ProviderError]) -> None:
        self.attempts = attempts
        self.asked: list[CompletionRequest] = []
        self.open = 0
        self.most_open = 0
        self.gate: asyncio.Event | None = None
        self.is_closed = False

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        items = self.attempts[min(len(self.asked), len(self.attempts) - 1)]
        self.asked.append(request)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.gate is not None:
                await self.gate.wait()
            for item in items:
                if isinstance(item, ProviderError):
                    raise item
                yield item
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        self.is_closed = True


class Pauses:
    """Stands in for sleeping and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def retrying(inner: Played, pauses: Pauses, **policy: float) -> RetryingProvider:
    return RetryingProvider(
        inner,
        name="acme",
        policy=RetryPolicy(**policy),  # type: ignore[arg-type]
        sleep=pauses,
        dice=lambda: 1.0,
    )


async def all_of(provider: RetryingProvider | FallbackProvider | Played) -> list[Delta]:
    return [delta async for delta in provider.complete(REQUEST)]


BUSY = ProviderOverloadedError("busy")
CUT = ProviderConnectionError("cut")


async def test_delays_double_up_to_the_limit() -> None:
    inner, pauses = Played([BUSY], [BUSY], [BUSY], [BUSY], [done()]), Pauses()
    provider = retrying(inner, pauses, max_retries=4, max_delay_seconds=3.0)
    assert await all_of(provider) == [done()]
    assert pauses.seconds == [0.5, 1.0, 2.0, 3.0]


def test_the_jitter_takes_away_up_to_half() -> None:
    policy = RetryPolicy(first_delay_seconds=1.0)
    assert policy.delay(0, BUSY, dice=lambda: 0.0) == 0.5
    assert policy.delay(3, BUSY, dice=lambda: 0.5) == 6.0


async def test_the_vendors_wish_is_honoured() -> None:
    late = ProviderRateLimitError("slow", retry_after_seconds=7.0)
    inner, pauses = Played([late], [done()]), Pauses()
    await all_of(retrying(inner, pauses))
    assert pauses.seconds == [7.05]


@pytest.mark.parametrize(("wait", "total"), [(61.0, 900.0), (20.0, 10.0)])
async def test_a_wish_beyond_the_limits_is_handed_up_at_once(wait: float, total: float) -> None:
    late = ProviderRateLimitError("slow", retry_after_seconds=wait)
    inner, pauses = Played([late], [done()]), Pauses()
    with pytest.raises(ProviderRateLimitError):
        await all_of(retrying(inner, pauses, total_seconds=total))
    assert (len(inner.asked), pauses.seconds) == (1, [])


@pytest.mark.parametrize(
    ("error", "asked"),
    [(ProviderAuthError("no"), 1), (BUSY, 3), (CUT, 3), (ProviderProtocolError("odd"), 2)],
)
async def test_each_error_is_tried_as_often_as_it_deserves(
    error: ProviderError, asked: int
) -> None:
    inner = Played([error])
    with pytest.raises(type(error)):
        await all_of(retrying(inner, Pauses()))
    assert len(inner.asked) == asked


async def test_after_deltas_were_shown_only_the_end_of_the_next_attempt_is() -> None:
    inner = Played([TextDelta("on"), CUT], [TextDelta("tw"), CUT], [TextDelta("x"), done("x")])
    assert await all_of(retrying(inner, Pauses())) == [TextDelta("on"), done("x")]


async def test_the_whole_time_is_bounded() -> None:
    inner = Played([done()])
    inner.gate = asyncio.Event()
    with pytest.raises(ProviderTimeoutError, match=r"acme did not finish .* 0\.01 seconds in all"):
        await all_of(retrying(inner, Pauses(), total_seconds=0.01))
    assert inner.open == 0


async def test_no_more_than_the_limit_are_open_at_once() -> None:
    inner = Played([done()])
    inner.gate = asyncio.Event()
    provider = RetryingProvider(inner, name="acme", max_concurrency=3)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(all_of(provider)) for _ in range(10)]
        while inner.open < 3:  # noqa: ASYNC110 (each turn of the loop lets the tasks go on)
            await asyncio.sleep(0)
        inner.gate.set()
    assert inner.most_open == 3
    assert [task.result() for task in tasks] == [[done()]] * 10


async def test_a_place_is_free_again_after_cancelling() -> None:
    inner = Played([done()])
    inner.gate = asyncio.Event()
    provider = RetryingProvider(inner, name="acme", max_concurrency=1)
    task = asyncio.create_task(all_of(provider))
    while inner.open < 1:  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    inner.gate.set()
    assert await all_of(provider) == [done()]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_the_breaker_opens_probes_and_closes() -> None:
    clock = Clock()
    breaker = Breaker("acme", threshold=3, pause_seconds=30.0, monotonic=clock)
    inner = Played([CUT], [CUT], [CUT], [CUT], [done()])
    provider = RetryingProvider(
        inner, name="acme", policy=RetryPolicy(max_retries=0), breaker=breaker, sleep=Pauses()
    )
    for _ in range(3):
        with pytest.raises(ProviderConnectionError):
            await all_of(provider)
    assert breaker.is_open
    clock.now += 10
    with pytest.raises(ProviderOverloadedError) as caught:
        await all_of(provider)
    assert str(caught.value) == (
        "acme failed 3 times in a row and is left alone for now. "
        "It will be tried again in 20 seconds."
    )
    assert caught.value.retry_after_seconds == 20.0
    assert len(inner.asked) == 3
    clock.now += 20
    with pytest.raises(ProviderConnectionError):
        await all_of(provider)  # the probe fails
    assert len(inner.asked) == 4
    with pytest.raises(ProviderOverloadedError):
        await all_of(provider)
    clock.now += 30
    assert await all_of(provider) == [done()]
    assert not breaker.is_open


async def test_one_probe_at_a_time_and_a_cancelled_one_decides_nothing() -> None:
    clock = Clock()
    breaker = Breaker("acme", threshold=1, pause_seconds=5.0, monotonic=clock)
    breaker.enter()
    breaker.failed()
    clock.now += 5
    breaker.enter()
    with pytest.raises(ProviderOverloadedError, match="left alone"):
        breaker.enter()
    breaker.left()
    breaker.enter()
    breaker.succeeded()
    assert not breaker.is_open


async def test_refusals_and_rate_limits_do_not_open_the_breaker() -> None:
    breaker = Breaker("acme", threshold=1)
    slow = ProviderRateLimitError("slow", vendor_status=429)
    provider = RetryingProvider(
        Played([slow], [ProviderAuthError("no")]),
        name="acme",
        policy=RetryPolicy(max_retries=0),
        breaker=breaker,
    )
    for expected in (ProviderRateLimitError, ProviderAuthError):
        with pytest.raises(expected):
            await all_of(provider)
    assert not breaker.is_open


async def test_a_breaker_that_opens_between_retries_leaves_the_vendors_own_error() -> None:
    inner = Played([CUT])
    provider = RetryingProvider(
        inner, name="acme", breaker=Breaker("acme", threshold=2), sleep=Pauses()
    )
    with pytest.raises(ProviderConnectionError, match="cut"):
        await all_of(provider)
    assert len(inner.asked) == 2


async def test_the_fallback_moves_on_and_says_who_answered() -> None:
    first, second = Played([BUSY]), Played([TextDelta("fi"), done()])
    provider = FallbackProvider([(first, "large"), (second, "small")])
    assert await all_of(provider) == [TextDelta("fi"), done(model="small")]
    assert [first.asked[0].model, second.asked[0].model] == ["large", "small"]


async def test_the_fallback_names_the_route_not_the_vendors_word_for_the_model() -> None:
    provider = FallbackProvider([(Played([done(model="small-2026")]), "small")])
    assert await all_of(provider) == [done(model="small")]


async def test_the_fallback_stops_at_errors_that_will_not_help() -> None:
    second = Played([done()])
    provider = FallbackProvider([(Played([ProviderAuthError("no")]), "a"), (second, "b")])
    with pytest.raises(ProviderAuthError):
        await all_of(provider)
    assert second.asked == []


async def test_the_last_routes_error_is_the_answer_when_all_fail() -> None:
    provider = FallbackProvider([(Played([BUSY]), "a"), (Played([CUT]), "b")])
    with pytest.raises(ProviderConnectionError):
        await all_of(provider)


async def test_a_cut_route_shows_only_the_end_of_the_next() -> None:
    second = Played([TextDelta("other"), done("other")])
    provider = FallbackProvider([(Played([TextDelta("be"), CUT]), "a"), (second, "b")])
    assert await all_of(provider) == [TextDelta("be"), done("other", model="b")]


async def test_closing_reaches_everyone() -> None:
    first, second = Played([]), Played([])
    provider = FallbackProvider([(RetryingProvider(first, name="a"), "a"), (second, "b")])
    await provider.aclose()
    assert first.is_closed
    assert second.is_closed
    assert repr(provider) == "FallbackProvider(['a', 'b'])"


def test_a_fallback_without_routes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one route"):
        FallbackProvider([])
