"""The runners this suite is run on."""

import asyncio
from collections.abc import Callable
from typing import cast

from sandbox.contracts import Command, Isolation, Runner, Session
from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.services import default_folder
from tests.conformance.sandbox.host import Observed
from tests.conformance.sandbox.worker import ThroughTheWorker
from tests.waiting import wait_for

# One folder of places for the whole host: parts of the suite run side by side.
SUBJECTS: dict[str, Callable[[], Runner]] = {
    "bubblewrap": lambda: BubblewrapRunner(default_folder()),
    "bubblewrap through the worker": lambda: ThroughTheWorker(Isolation.BUBBLEWRAP),
}


def observed(session: Session) -> Observed:
    return cast("Observed", session)


def shell(script: str, **env: str) -> Command:
    """Return a command that runs a shell script."""
    return Command(argv=("sh", "-c", script), env=env)


async def until(is_true: Callable[[], object]) -> None:
    """Wait for the thing itself without holding up the loop."""
    await asyncio.to_thread(wait_for, is_true, lambda: "it has not come about", seconds=30)
