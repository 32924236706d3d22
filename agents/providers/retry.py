"""Wrappers around providers: try again, not too many at once, and another way when one is closed.

A cut stream: once deltas were handed out they cannot be taken back. When an attempt fails in a
way worth retrying after that, the question is asked again from the start, no further deltas are
yielded, and only the final `Completed` is. A live view may thus have shown the beginning of an
answer that was thrown away; `Completed` is always whole and from one attempt.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from typing import cast

import msgspec

from agents.contracts import Completed, CompletionRequest, Delta, Provider
from agents.errors import ProviderError, ProviderProtocolError, ProviderTimeoutError
from agents.providers.breaker import Breaker


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often. A Retry-After of the vendor replaces the computed delay."""

    max_retries: int = 2
    first_delay_seconds: float = 0.5
    max_delay_seconds: float = 30.0
    max_retry_after_seconds: float = 60.0  # a vendor that asks for more gets no retry from here
    total_seconds: float = 900.0  # over all attempts and pauses of one answer

    def delay(self, retry: int, error: ProviderError, *, dice: Callable[[], float]) -> float:
        """Return seconds to wait before retry number `retry`, counted from 0.

        Between half and the whole of a doubling delay, so that many callers do not come back
        together; never earlier than the vendor asked.
        """
        ceiling = min(self.max_delay_seconds, self.first_delay_seconds * 2.0**retry)
        jittered: float = ceiling * (0.5 + dice() / 2)
        asked = error.retry_after_seconds
        return jittered if asked is None else asked + jittered * 0.1


class RetryingProvider:
    """Retries `inner`, holds at most `max_concurrency` answers open, and respects the breaker.

    The place is free while waiting to try again. Belongs to one event loop.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        name: str,
        policy: RetryPolicy | None = None,
        max_concurrency: int | None = 64,
        breaker: Breaker | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.inner = inner
        self._name = name
        self._policy = policy or RetryPolicy()
        self._places = asyncio.Semaphore(max_concurrency) if max_concurrency else nullcontext()
        self._breaker = breaker
        self._sleep = sleep
        self._dice = dice

    def __repr__(self) -> str:
        return f"RetryingProvider({self.inner!r})"

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        ends_at = asyncio.get_running_loop().time() + self._policy.total_seconds
        has_shown = False
        retries = 0
        protocol_errors = 0
        failure: ProviderError | None = None
        while True:
            is_first = not has_shown
            try:
                async with aclosing(self._attempt(request, ends_at, failure)) as deltas:
                    async for delta in deltas:
                        if is_first or isinstance(delta, Completed):
                            has_shown = True
                            yield delta
                return
            except ProviderError as error:
                failure = error
            # A server that does not keep the protocol will hardly learn it: one retry is enough.
            protocol_errors += isinstance(failure, ProviderProtocolError)
            if not failure.is_retryable or protocol_errors > 1:
                raise failure
            pause = self._policy.delay(retries, failure, dice=self._dice)
            left = ends_at - asyncio.get_running_loop().time()
            asked = failure.retry_after_seconds or 0.0
            if (
                retries >= self._policy.max_retries
                or pause >= left
                or asked > self._policy.max_retry_after_seconds
            ):
                raise failure
            retries += 1
            await self._sleep(pause)

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def _attempt(
        self, request: CompletionRequest, ends_at: float, before: ProviderError | None
    ) -> AsyncGenerator[Delta, None]:
        """Ask once. When the breaker is open now, the failure `before` is the better answer."""
        async with self._places:
            if self._breaker is not None:
                try:
                    self._breaker.enter()
                except ProviderError as closed:
                    raise before or closed from None
            is_judged = False
            try:
                async with aclosing(self._bounded(request, ends_at)) as deltas:
                    async for delta in deltas:
                        if isinstance(delta, Completed):
                            is_judged = self._judge(None)
                        yield delta
            except ProviderError as error:
                if not is_judged:
                    is_judged = self._judge(error)
                raise
            finally:
                if self._breaker is not None and not is_judged:
                    self._breaker.left()

    def _judge(self, error: ProviderError | None) -> bool:
        if self._breaker is not None:
            # A vendor that refuses is alive; only silence and confusion count against it.
            if error is None or not error.is_retryable or error.vendor_status == 429:
                self._breaker.succeeded()
            else:
                self._breaker.failed()
        return True

    async def _bounded(
        self, request: CompletionRequest, ends_at: float
    ) -> AsyncGenerator[Delta, None]:
        """Hand on the inner deltas; only waiting for the vendor counts, not the reader's time."""
        # Every provider here is an async generator; the contract promises only an iterator.
        inner = cast(AsyncGenerator[Delta, None], self.inner.complete(request))
        async with aclosing(inner) as deltas:
            while True:
                try:
                    async with asyncio.timeout_at(ends_at):
                        delta = await anext(deltas)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise ProviderTimeoutError(
                        f"{self._name} did not finish its answer within "
                        f"{self._policy.total_seconds:g} seconds in all.",
                        remedy="Ask for a shorter answer, or choose a faster model.",
                    ) from None
                yield delta


class FallbackProvider:
    """Asks each (provider, model) in turn, moving on after failures that are worth a retry.

    `Completed.model` is the route's model name, not the vendor's word for it: it says which route
    answered, and so what it costs. The rule for cut streams is the module's.
    """

    def __init__(self, routes: Sequence[tuple[Provider, str]]) -> None:
        if not routes:
            raise ValueError("a fallback needs at least one route")
        self.routes = tuple(routes)

    def __repr__(self) -> str:
        return f"FallbackProvider({[model for _, model in self.routes]!r})"

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        has_shown = False
        for number, (provider, model) in enumerate(self.routes, start=1):
            asked = msgspec.structs.replace(request, model=model)
            is_first = not has_shown
            inner = cast(AsyncGenerator[Delta, None], provider.complete(asked))
            try:
                async with aclosing(inner) as deltas:
                    async for delta in deltas:
                        if isinstance(delta, Completed):
                            yield msgspec.structs.replace(delta, model=model)
                        elif is_first:
                            has_shown = True
                            yield delta
                return
            except ProviderError as error:
                if not error.is_retryable or number == len(self.routes):
                    raise

    async def aclose(self) -> None:
        """Close every provider, also when closing one of them fails."""
        closed = await asyncio.gather(
            *(provider.aclose() for provider, _ in self.routes), return_exceptions=True
        )
        for outcome in closed:
            if isinstance(outcome, BaseException):
                raise outcome
