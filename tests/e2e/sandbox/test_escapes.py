"""Every known way out is tried in a real sandbox; the host says what came of it.

The attempts are made once, some at a time, before the first test asks for its verdict.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from sandbox.workspaces import delete_workspace
from scripts.generate_escapes import PAGE, page
from tests.conformance.sandbox.subjects import SUBJECTS
from tests.e2e.sandbox.attempts_of import Attempt, attempts
from tests.e2e.sandbox.verdict import Verdict, try_in
from tests.e2e.sandbox.weak import try_weakly

AT_ONCE = 4
CASES = [
    *(("bubblewrap", name) for name in attempts()),
    *(("docker", name) for name in attempts()),
    *(("gvisor", name) for name, attempt in attempts().items() if attempt.in_gvisor),
]
CONTROL = [name for name, attempt in attempts().items() if attempt.is_in_control_run]


@pytest.fixture(scope="module")
def verdicts_in(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Verdict]]:
    """What came of each attempt in the real sandbox of a kind."""

    async def try_all(kind: str, names: list[str]) -> list[Verdict]:
        runner = SUBJECTS[kind](request)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(attempt: Attempt) -> Verdict:
            async with turns:
                workspace = _workspace(tmp_path_factory, attempt)
                verdict = await try_in(runner, workspace, attempt)
                await asyncio.to_thread(delete_workspace, workspace)
                return verdict

        return await asyncio.gather(*(one(attempts()[name]) for name in names))

    @cache
    def found(kind: str) -> dict[str, Verdict]:
        names = [name for runner, name in CASES if runner == kind]
        return dict(zip(names, asyncio.run(try_all(kind, names)), strict=True))

    return found


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
    assert len([name for runner, name in CASES if runner == "gvisor"]) >= 36


@pytest.mark.timeout(600)  # the first one of a kind waits for all of that kind
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_an_attempt_does_nothing_to_the_host(
    kind: str, name: str, verdicts_in: Callable[[str], dict[str, Verdict]]
) -> None:
    verdict = verdicts_in(kind)[name]
    expected = attempts()[name].in_gvisor if kind == "gvisor" else "blocked"

    assert verdict.bites == []
    if expected == "virtual":
        assert verdict.claims, "it is blocked there now: say so in the attempt"
    elif expected == "ends":
        assert verdict.ended in {"lost", "memory"}
    else:
        assert verdict.claims == []
    if attempts()[name].ends != "any" and expected == "blocked":
        ended = verdict.ended
        assert ended == attempts()[name].ends, f"the attempt itself is broken: {verdict.words}"


@pytest.mark.parametrize("name", CONTROL)
def test_an_attempt_bites_where_nothing_stops_it(name: str, control: dict[str, Verdict]) -> None:
    verdict = control[name]

    assert verdict.bites or verdict.claims, verdict.words


def test_the_page_tells_of_every_attempt() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m scripts.generate_escapes"
