"""Why a container ended, as its engine tells it, sooner or later."""

from collections.abc import Iterator
from typing import cast

import pytest

from sandbox.errors import SandboxLostError
from sandbox.runners.docker.carrier import ContainerCarrier
from sandbox.runners.docker.engine import Engine, EngineError, NoSuchThingError, State


def state(*, process: int = 7, code: int = 0, says: bool = False) -> State:
    return State(id="c", process=process, is_out_of_memory=says, exit_code=code, problem="")


class LateEngine:
    """An engine that says one thing after the other; the last one for ever."""

    def __init__(self, *says: State | EngineError) -> None:
        self._says = says
        self.asked = 0

    def state(self, name: str) -> State:
        said = self._says[min(self.asked, len(self._says) - 1)]
        self.asked += 1
        if isinstance(said, EngineError):
            raise said
        return said

    def kill(self, name: str) -> None:
        """End it."""


RUNS = state()


@pytest.fixture
def _hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second passes between two looks at the clock."""

    def ticks() -> Iterator[float]:
        now = 0.0
        while True:
            yield now
            now += 0.5

    clock = ticks()
    monkeypatch.setattr("sandbox.runners.docker.carrier.monotonic", lambda: next(clock))


async def told(engine: LateEngine) -> bool:
    return await ContainerCarrier(cast(Engine, engine), "c").ran_out_of_memory(deaths=0)


@pytest.mark.usefixtures("_hours")
async def test_an_engine_that_hears_late_is_asked_again() -> None:
    late, never = LateEngine(RUNS, RUNS, state(says=True)), LateEngine(RUNS)

    assert (await told(late), late.asked) == (True, 3)
    assert (await told(never), never.asked) == (False, 7)


@pytest.mark.usefixtures("_hours")
async def test_how_it_ended_says_why_where_the_engine_never_hears() -> None:
    """The group is away, with its counter, before the engine has read it."""
    assert await told(LateEngine(RUNS, state(process=0, code=137))) is True
    assert await told(LateEngine(RUNS, state(process=0, code=1))) is False


async def test_a_container_that_was_killed_here_did_not_run_out_of_memory() -> None:
    carrier = ContainerCarrier(cast(Engine, LateEngine(state(process=0, code=137))), "c")
    carrier.group.kill()

    assert await carrier.ran_out_of_memory(deaths=0) is False


async def test_a_container_that_is_gone_tells_nothing_and_a_dumb_engine_is_an_error() -> None:
    assert await told(LateEngine(NoSuchThingError("gone"))) is False
    with pytest.raises(SandboxLostError, match="does not answer"):
        await told(LateEngine(RUNS, EngineError("no answer")))
