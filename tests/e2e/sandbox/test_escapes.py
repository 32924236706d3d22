"""Every known way out is tried in a real sandbox; the host says what came of it.

The attempts are made once, some at a time, before the first test asks for its verdict.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.services import default_folder
from sandbox.workspaces import delete_workspace
from scripts.generate_escapes import PAGE, page
from tests.e2e.sandbox.attempts_of import Attempt, attempts
from tests.e2e.sandbox.verdict import Verdict, try_in
from tests.e2e.sandbox.weak import try_weakly

AT_ONCE = 4
CONTROL = [name for name, attempt in attempts().items() if attempt.is_in_control_run]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """What came of each attempt in the real sandbox."""

    async def try_all() -> dict[str, Verdict]:
        runner = BubblewrapRunner(default_folder())
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(attempt: Attempt) -> Verdict:
            async with turns:
                workspace = _workspace(tmp_path_factory, attempt)
                verdict = await try_in(runner, workspace, attempt)
                await asyncio.to_thread(delete_workspace, workspace)
                return verdict

        found = await asyncio.gather(*map(one, attempts().values()))
        return dict(zip(attempts(), found, strict=True))

    return asyncio.run(try_all())


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """What came of some of them in a sandbox that is weak on purpose."""

    def one(name: str) -> Verdict:
        workspace = _workspace(tmp_path_factory, attempts()[name])
        verdict = try_weakly(workspace, attempts()[name])
        delete_workspace(workspace)
        return verdict

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(CONTROL, pool.map(one, CONTROL), strict=True))


def _workspace(factory: pytest.TempPathFactory, attempt: Attempt) -> Path:
    folder = factory.mktemp(attempt.name) / "workspace"
    folder.mkdir()
    return folder


def test_there_are_enough_attempts() -> None:
    assert len(attempts()) >= 60
    assert len(CONTROL) >= 20


@pytest.mark.parametrize("name", attempts())
def test_an_attempt_does_nothing_to_the_host(name: str, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[name]

    assert verdict.bites == []
    assert verdict.claims == []
    if attempts()[name].ends != "any":
        ended = verdict.ended
        assert ended == attempts()[name].ends, f"the attempt itself is broken: {verdict.words}"


@pytest.mark.parametrize("name", CONTROL)
def test_an_attempt_bites_where_nothing_stops_it(name: str, control: dict[str, Verdict]) -> None:
    verdict = control[name]

    assert verdict.bites or verdict.claims, verdict.words


def test_the_page_tells_of_every_attempt() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m scripts.generate_escapes"
