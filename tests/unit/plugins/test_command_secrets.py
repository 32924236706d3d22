"""Which secrets of a command go inside as files, and which to the gateway and nowhere else."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from core.ids import new_id
from plugins.commands.definition import CommandDefinition, HostSecret
from plugins.commands.tool import CommandTool
from plugins.contracts import ProbeAnswer, ToolContext
from plugins.errors import ToolError
from sandbox.contracts import Command, Ended, HostCredential, Outcome, Profile

VALUES = {"github": "canary-of-github", "key": "canary-of-a-key"}
NET = ("api.github.com:443", "[fd00::5]:8443")
BOUND = HostSecret(
    name="github", host="api.github.com", header="Authorization", format="Bearer {value}"
)
TOOL = CommandTool(
    CommandDefinition(
        name="issues",
        description="Lists issues.",
        input_schema={"type": "object"},
        command="curl https://api.github.com/",
        probe_command="curl https://api.github.com/",
        plan_command="echo nothing",
        net=NET,
        secrets=("key", BOUND, HostSecret(name="github", host=NET[1], header="X-Key")),
    )
)


class Reader:
    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    async def read(self, name: str) -> str:
        return self._values[name]


class Kept:
    """A sandbox that keeps what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Profile, Command, tuple[HostCredential, ...]]] = []

    async def run(
        self, profile: Profile, command: Command, *, credentials: Sequence[HostCredential] = ()
    ) -> Outcome:
        self.calls.append((profile, command, tuple(credentials)))
        return Outcome(
            exit_code=0,
            signal=None,
            stdout=b'{"happened": true}',
            stderr=b"",
            is_truncated=False,
            ended_by=Ended.EXIT,
        )


def context_of(sandbox: Kept, values: dict[str, str]) -> ToolContext:
    return ToolContext(
        run_id=new_id(),
        workspace_id=new_id(),
        call_id=new_id(),
        idempotency_key="once",
        attempt=1,
        workspace_path=Path("/nowhere"),
        secrets=Reader(values),
        sandbox=sandbox,
    )


CREDENTIALS = (
    HostCredential(
        host="api.github.com:443", header="Authorization", value="Bearer canary-of-github"
    ),
    HostCredential(host="[fd00::5]:8443", header="X-Key", value="canary-of-github"),
)


def test_a_call_and_a_probe_give_the_gateway_what_is_bound_and_the_program_the_rest() -> None:
    sandbox = Kept()
    context = context_of(sandbox, VALUES)

    asyncio.run(TOOL.call({}, context))
    answer = asyncio.run(TOOL.probe("once", context)).answer

    assert answer is ProbeAnswer.HAPPENED
    for _, command, credentials in sandbox.calls:
        assert credentials == CREDENTIALS
        assert command.secrets == {"key": b"canary-of-a-key"}
        inside = msgspec.json.encode(msgspec.structs.replace(command, secrets={}))
        assert b"canary" not in inside
        assert "canary" not in repr((command, credentials))
    assert len(sandbox.calls) == 2
    assert TOOL.spec.secrets == ("key", "github")


def test_a_plan_gets_none_of_them() -> None:
    sandbox = Kept()

    asyncio.run(TOOL.plan({}, context_of(sandbox, VALUES)))

    ((profile, command, credentials),) = sandbox.calls
    assert (profile.net, command.secrets, credentials) == ((), {}, ())


@pytest.mark.parametrize("value", ["two\nlines", "schlüssel", " around ", "nul\0"])
def test_a_value_that_no_header_holds_starts_nothing(value: str) -> None:
    sandbox = Kept()

    with pytest.raises(ToolError, match="'github' cannot be sent in a header to") as raised:
        asyncio.run(TOOL.call({}, context_of(sandbox, {**VALUES, "github": value})))

    assert sandbox.calls == []
    assert value.strip() not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("api.github.com", "api.github.com:443"),
        ("api.github.com:8443", "api.github.com:8443"),
        ("[fd00::5]", "[fd00::5]:443"),
        ("[fd00::5]:5432", "[fd00::5]:5432"),
    ],
)
def test_without_a_port_a_host_is_that_of_https(host: str, place: str) -> None:
    assert msgspec.structs.replace(BOUND, host=host).place == place
