"""Places of a sandbox worker: how full it is, and who waits."""

import asyncio

import pytest

from sandbox.contracts import Crowd
from sandbox.errors import SandboxCrowdedError
from sandbox.worker.places import Places


async def test_the_crowd_is_who_holds_and_who_waits() -> None:
    places = Places(at_most=1, wait_seconds=30)
    assert places.crowd() == Crowd(at_most=1, taken=0, waiting=0)

    async def take() -> None:
        async with places.taken():
            pass

    async with places.taken():
        waiting = asyncio.ensure_future(take())
        await asyncio.sleep(0)  # it comes to where it waits
        crowd = places.crowd()
        assert (crowd.taken, crowd.waiting) == (1, 1)
        assert crowd.oldest_seconds > 0
    await waiting

    assert places.crowd() == Crowd(at_most=1, taken=0, waiting=0)


async def test_who_gave_up_waits_no_more() -> None:
    places = Places(at_most=1, wait_seconds=0)

    async with places.taken():
        with pytest.raises(SandboxCrowdedError):
            async with places.taken():
                pass
        assert places.crowd() == Crowd(at_most=1, taken=1, waiting=0)
