"""The thread that asks the database: patient, but not for ever, and fair to those in line."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from django.db import OperationalError

from agents.execution.database import DatabaseThread
from core.errors import UnavailableError

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def thread() -> AsyncIterator[DatabaseThread]:
    thread = DatabaseThread(patience_seconds=0.1)
    yield thread
    thread.close()


class Away:
    """A job that finds no database for so many times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise OperationalError("connection refused")
        return "done"


async def test_a_lost_connection_costs_a_retry(thread: DatabaseThread) -> None:
    assert await thread.run(Away(1)) == "done"


async def test_an_outage_is_told_as_what_it_is(thread: DatabaseThread) -> None:
    with pytest.raises(UnavailableError) as failure:
        await thread.run(Away(1_000))

    assert isinstance(failure.value.__cause__, OperationalError)


async def test_who_waited_in_line_is_not_made_to_wait_again(thread: DatabaseThread) -> None:
    first, second = Away(1_000), Away(1_000)
    outcomes = await asyncio.gather(thread.run(first), thread.run(second), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [UnavailableError] * 2
    assert first.asked > 0
    assert second.asked == 0
    assert await thread.run(Away(0)) == "done"
