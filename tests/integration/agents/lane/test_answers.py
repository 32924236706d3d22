"""The lane answers what the REST views answer."""

from typing import Any

from asgiref.sync import sync_to_async

from agents.lane.lane import InvokeLane
from agents.models import Run
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
