"""The lane answers what the REST views answer."""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import OperationalError

from agents.lane.lane import InvokeLane
from agents.models import Run
from core.pausepoints import at
from tests.factories.agents import make_secret
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import Caller
from tests.integration.agents.lane.kit import invoke
from tests.processes import elsewhere


async def test_an_accepted_run_is_described_as_when_it_is_read(
    lane: InvokeLane, cast: Cast
) -> None:
    secret = await sync_to_async(cast.token)("operator")

    plain = await invoke(lane, secret, {"input": "do it"})
    limited = await invoke(lane, secret, {"input": "do it", "limits": {"max_iterations": 3}})

    def read(url: str) -> Any:
        return Caller(secret, "acme")("get", url).json()

    for accepted in (plain, limited):
        assert accepted.status == 202, accepted.body
        assert accepted.body["requested_by_name"] == "operator"
        assert accepted.body == await sync_to_async(read)(accepted.headers["location"])


async def test_a_connection_lost_after_the_commit_starts_no_second_run(
    lane: InvokeLane, cast: Cast
) -> None:
    secret = await sync_to_async(cast.token)("operator")
    lost = [OperationalError("the connection was closed")]

    def lose() -> None:
        if lost:
            raise lost.pop()

    with at("start.after_commit", lose):
        accepted = await invoke(lane, secret, {"input": "x", "variables": {"tone": "dry"}})
        another = await invoke(lane, secret, {"input": "x", "variables": {"tone": "dry"}})

    assert (accepted.status, another.status, lost) == (202, 202, [])
    runs = {str(run.pk) async for run in Run.objects.all()}
    assert runs == {accepted.body["id"], another.body["id"]}
    assert len(runs) == 2


async def test_a_run_keeps_what_it_was_sent_with_beside_its_surface(
    lane: InvokeLane, cast: Cast
) -> None:
    secret = await sync_to_async(cast.token)("operator")
    plain, limited = {"input": "x"}, {"input": "x", "limits": {"max_iterations": 3}}

    kept = [
        (run.body["surface"], run.body["client"])
        for body in (plain, limited)
        for sent in ("agentry-cli/1.0", "agentry-python/1.0", "curl/8")
        for run in [await invoke(lane, secret, body, user_agent=sent)]
    ]

    assert kept == [("api", "cli"), ("api", "sdk"), ("api", "")] * 2


async def test_what_is_said_is_redacted_of_secrets_that_this_server_never_opened(
    lane: InvokeLane, cast: Cast
) -> None:
    secret = await sync_to_async(cast.token)("operator")
    with elsewhere():
        await sync_to_async(make_secret)(cast.acme, "plain", "an unremarkable sentence")

    accepted = await invoke(lane, secret, {"input": "Is it an unremarkable sentence?"})

    assert accepted.status == 202, accepted.body
    run = await Run.objects.aget()
    assert run.input == "Is it [redacted]?"
