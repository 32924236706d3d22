"""How one description of a request becomes a method of either client, with its exact signature.

`class Runs(Group): start = blocking(runs.start)` has a method `start` that takes what `runs.start`
takes and returns what its `Call` reads; `awaited` gives the same for the asynchronous client.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from agentry.client.flow import Call, Flow, Origin, pages, perform
from agentry.client.records import Page

P = ParamSpec("P")
T = TypeVar("T")


class BlockingDriver(Protocol):
    @property
    def origin(self) -> Origin: ...

    def drive(self, flow: Flow[T]) -> T: ...


class AwaitingDriver(Protocol):
    @property
    def origin(self) -> Origin: ...

    async def drive(self, flow: Flow[T]) -> T: ...


class BlockingGroup:
    """Methods about one noun; the client performs them."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver


class AwaitingGroup:
    def __init__(self, driver: AwaitingDriver) -> None:
        self._driver = driver


class blocking(Generic[P, T]):  # noqa: N801  used like a decorator
    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    def __get__(self, group: Any, owner: type) -> Callable[P, T]:
        build = self._build

        @wraps(build)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            driver = _driver(group)
            return cast("T", driver.drive(perform(driver.origin, build(*args, **kwargs))))

        return method


class awaited(Generic[P, T]):  # noqa: N801
    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    def __get__(self, group: Any, owner: type) -> Callable[P, Awaitable[T]]:
        build = self._build

        @wraps(build)
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            driver = _driver(group)
            return cast("T", await driver.drive(perform(driver.origin, build(*args, **kwargs))))

        return method


class blocking_pages(Generic[P, T]):  # noqa: N801
    """Every item of a list, page after page."""

    def __init__(self, build: Callable[P, Call[Page[T]]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    def __get__(self, group: Any, owner: type) -> Callable[P, Iterator[T]]:
        build = self._build

        @wraps(build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            driver = _driver(group)
            asking = pages(driver.origin, build(*args, **kwargs))
            flow = next(asking, None)
            while flow is not None:
                page = driver.drive(flow)
                yield from page.items
                flow = _next(asking, page)

        return method


class awaited_pages(Generic[P, T]):  # noqa: N801
    def __init__(self, build: Callable[P, Call[Page[T]]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    def __get__(self, group: Any, owner: type) -> Callable[P, AsyncIterator[T]]:
        build = self._build

        @wraps(build)
        async def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            driver = _driver(group)
            asking = pages(driver.origin, build(*args, **kwargs))
            flow = next(asking, None)
            while flow is not None:
                page = await driver.drive(flow)
                for item in page.items:
                    yield item
                flow = _next(asking, page)

        return method


def _driver(group: Any) -> Any:
    if group is None:
        raise TypeError("Call this on a client, not on the class.")
    return group._driver


def _next(asking: Any, page: Page[Any]) -> Any:
    try:
        return asking.send(page)
    except StopIteration:
        return None
