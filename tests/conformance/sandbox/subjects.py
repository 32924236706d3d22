"""The runners this suite is run on."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from sandbox.contracts import Command, Isolation, Runner, Session
from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.runners.docker import DOCKER, GVISOR, DockerRunner, Engine, Kind
from sandbox.runners.docker.finding import Found
from sandbox.services import default_folder
from tests.conformance.sandbox.host import Observed
from tests.conformance.sandbox.landlock import HeldByLandlock
from tests.conformance.sandbox.worker import ThroughTheWorker
from tests.waiting import wait_for

# What a subject cannot be asked for, by test file and test; "*" is the whole file.
NOT_FOR: dict[tuple[str, str, str], str] = {
    ("landlock", "test_limits", "*"): "it holds few limits, which test_landlock asks for",
    ("landlock", "test_secrets", "*"): "it has no /run/secrets; test_landlock sees them refused",
    ("landlock", "test_pool", "*"): "it mounts no disk, which the pool's tests are about",
    ("landlock", "test_calls", "test_only_what_the_command_carries_goes_in"): (
        "it has no /workspace and no /proc; test_landlock looks at both in its own way"
    ),
}

# One folder of places for the whole host: parts of the suite run side by side.
_FOUND: dict[str, Found] = {}


def _bubblewrap(request: pytest.FixtureRequest) -> Runner:
    return BubblewrapRunner(default_folder())


def _docker(request: pytest.FixtureRequest) -> Runner:
    return _remembering(DOCKER, request)


def _gvisor(request: pytest.FixtureRequest) -> Runner:
    return _remembering(GVISOR, request)


def _remembering(kind: Kind, request: pytest.FixtureRequest) -> Runner:
    """Return a runner that need not find out again what another one here has found."""
    engine = Engine(request.getfixturevalue("docker_url"))
    request.addfinalizer(engine.close)
    runner = DockerRunner(default_folder(), kind=kind, engine=engine, found=_FOUND.get(kind.name))

    def keep() -> None:
        if runner.found is not None:
            _FOUND[kind.name] = runner.found

    request.addfinalizer(keep)
    return runner


SUBJECTS: dict[str, Callable[[pytest.FixtureRequest], Runner]] = {
    "bubblewrap": _bubblewrap,
    "docker": _docker,
    "gvisor": _gvisor,
    "landlock": lambda request: HeldByLandlock(),
    "bubblewrap through the worker": lambda request: ThroughTheWorker(Isolation.BUBBLEWRAP),
}
HOLDERS_OF_NET = ("bubblewrap", "docker", "gvisor", "bubblewrap through the worker")


def has_own_kernel(runner: Runner) -> bool:
    """Say whether a limit of the whole sandbox ends the kernel in it, and so the sandbox."""
    return runner.name == Isolation.GVISOR


def observed(session: Session) -> Observed:
    return cast("Observed", session)


def shell(script: str, **env: str) -> Command:
    """Return a command that runs a shell script."""
    return Command(argv=("sh", "-c", script), env=env)


async def until(is_true: Callable[[], object]) -> None:
    """Wait for the thing itself without holding up the loop."""
    await asyncio.to_thread(wait_for, is_true, lambda: "it has not come about", seconds=30)
