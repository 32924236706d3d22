"""The thread that asks the database: patient, but not for ever, and fair to those in line."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from django.db import OperationalError

from agents.execution.database import DatabaseThread
from core.errors import UnavailableError

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def thread() -> AsyncIterator[DatabaseThread]:
    thread = DatabaseThread(patience_seconds=60.0)
    yield thread
    thread.close()


class Clock:
    """A clock that only jobs move."""

    now = 0.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("agents.execution.database.monotonic", lambda: clock.now)
    return clock


class Away:
    """A job that finds no database for so many times, and takes 25 seconds to find out."""

    def __init__(self, clock: Clock, times: int) -> None:
        self._clock = clock
        self.left = times
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.left:
            self.left -= 1
            self._clock.now += 25
            raise OperationalError("connection refused")
        return "done"


async def test_a_lost_connection_costs_a_retry(thread: DatabaseThread, clock: Clock) -> None:
    assert await thread.run(Away(clock, 1)) == "done"


async def test_an_outage_is_told_as_what_it_is(thread: DatabaseThread, clock: Clock) -> None:
    job = Away(clock, 1_000)
    with pytest.raises(UnavailableError) as failure:
        await thread.run(job)

    assert job.asked == 3
    assert isinstance(failure.value.__cause__, OperationalError)


async def test_who_waited_in_line_is_not_made_to_wait_again(
    thread: DatabaseThread, clock: Clock
) -> None:
    may_go = threading.Event()
    held = asyncio.create_task(thread.run(may_go.wait))
    first, second = Away(clock, 1_000), Away(clock, 1_000)
    asked = [asyncio.create_task(thread.run(job)) for job in (first, second)]
    await asyncio.sleep(0)  # all of them stand in line
    may_go.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert await held
    assert [type(outcome) for outcome in outcomes] == [UnavailableError] * 2
    assert (first.asked, second.asked) == (3, 0)
    assert await thread.run(Away(clock, 0)) == "done"
