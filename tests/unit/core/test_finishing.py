"""What has been begun is finished although its caller is cancelled, and the cancel is not lost."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from core.finishing import to_the_end, undivided


class Work:
    """Goes on when it is let, and says what became of it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.has_begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.is_done = False
        self._error = error

    async def do(self) -> str:
        self.has_begun.set()
        await self.may_end.wait()
        self.is_done = True
        if self._error is not None:
            raise self._error
        return "done"


async def cancelled_twice(
    how: Callable[[Awaitable[str]], Awaitable[str]], work: Work
) -> asyncio.Task[str]:
    """Cancel who awaits the work while it is under way, twice, then let the work end."""

    async def awaiting() -> str:
        return await how(work.do())

    task = asyncio.create_task(awaiting())
    await work.has_begun.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    work.may_end.set()
    await asyncio.wait({task})
    assert work.is_done
    return task


async def test_a_cancel_waits_for_the_end_and_is_forgotten() -> None:
    task = await cancelled_twice(to_the_end, Work())
    assert task.result() == "done"


async def test_a_cancel_waits_for_the_end_and_is_passed_on() -> None:
    task = await cancelled_twice(undivided, Work())
    assert task.cancelled()


@pytest.mark.parametrize("how", [to_the_end, undivided])
async def test_what_the_work_raises_is_raised(
    how: Callable[[Awaitable[str]], Awaitable[str]],
) -> None:
    task = await cancelled_twice(how, Work(ValueError("no")))
    assert isinstance(task.exception(), ValueError)


async def test_work_that_is_cancelled_from_within_is_cancelled() -> None:
    async def give_up() -> str:
        raise asyncio.CancelledError

    for how in (to_the_end, undivided):
        with pytest.raises(asyncio.CancelledError):
            await how(give_up())
