"""A real server did what was asked, and its answer was lost: asking again makes no second one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import agentry
from tests.e2e.client.server import SiteProcess
from tests.wire.losing_proxy import LosingProxy, losing_proxy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    site = SiteProcess(tmp_path_factory.mktemp("site"))
    site.start()
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def proxy(site: SiteProcess) -> Iterator[LosingProxy]:
    with losing_proxy(site.url) as proxy:
        yield proxy


@pytest.fixture
def client(site: SiteProcess, proxy: LosingProxy) -> Iterator[agentry.Client]:
    with agentry.Client(proxy.url, site.token, workspace="demo") as client:
        yield client


def _runs(client: agentry.Client) -> set[str]:
    return {run.id for run in client.runs.iterate()}


def test_a_start_that_is_not_plain_starts_one_run(
    client: agentry.Client, proxy: LosingProxy
) -> None:
    (agent, *_) = client.agents.list().items
    before = _runs(client)
    proxy.losses = 2

    run = client.runs.start("x", agent=agent.name, variables={"tone": "dry"})

    assert len(proxy.lost) == 2
    assert _runs(client) - before == {run.id}


@pytest.mark.parametrize("verb", ["fork", "replay"])
def test_a_run_made_from_another_is_made_once(
    client: agentry.Client, proxy: LosingProxy, verb: str
) -> None:
    (agent, *_) = client.agents.list().items
    origin = client.runs.wait(client.runs.start("x", agent=agent.name).id, timeout_seconds=60)
    before = _runs(client)
    changes: dict[str, Any] = {"message": "Again"} if verb == "fork" else {}
    proxy.losses = 1

    run = getattr(client.runs, verb)(origin.id, **changes)

    assert len(proxy.lost) == 1
    assert {each.id for each in client.runs.iterate() if each.id not in before} == {run.id}


_CREATING: dict[str, Callable[[agentry.Client, str], Any]] = {
    "agents": lambda client, name: client.agents.create("twice").name,
    "sessions": lambda client, name: client.sessions.create(name).id,
    "secrets": lambda client, name: (
        client.secrets.set("once", "a value of some length", version=0).version
    ),
}


@pytest.mark.parametrize("noun", sorted(_CREATING))
def test_what_was_created_is_answered_as_created(
    client: agentry.Client, proxy: LosingProxy, noun: str
) -> None:
    (agent, *_) = client.agents.list().items
    before = len(getattr(client, noun).list().items)
    proxy.losses = 1

    made = _CREATING[noun](client, agent.name)

    assert made
    assert len(proxy.lost) == 1
    assert len(getattr(client, noun).list().items) == before + 1


def test_what_carries_no_key_is_told_instead_of_repeated(
    client: agentry.Client, proxy: LosingProxy
) -> None:
    proxy.losses = 1

    with pytest.raises(agentry.ConnectionFailed, match="broke"):
        client.tokens.create("ci", workspace="demo")

    assert len(proxy.lost) == 1
    assert [token.name for token in client.tokens.list().items].count("ci") == 1
