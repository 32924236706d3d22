"""Whatever an agent answers is checked and bounded on the host's side again."""

import asyncio
import base64
import json

import pytest

from sandbox.contracts import Command, Ended, Limits, Outcome
from sandbox.runners.link import AgentLink, LinkLostError

DONE = {
    "done": 1, "ended_by": "exit", "exit_code": 0, "signal": None, "is_truncated": False,
    "wall_seconds": 0.1, "cpu_seconds": 0.1, "max_rss_bytes": 1,
}  # fmt: skip


async def answered(*lines: bytes) -> Outcome:
    """Run a command against an agent that answers these lines."""

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"ready": true}\n')
        await reader.readline()
        writer.writelines(lines)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(agent, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        link = AgentLink(reader, writer)
        try:
            await link.ready(seconds=10)
            return await link.begin(Command(argv=("x",)), Limits(output_bytes=10))
        finally:
            link.close()


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def test_an_answer_is_put_together() -> None:
    out = {"out": base64.b64encode(b"12345").decode()}
    err = {"err": base64.b64encode(b"678").decode()}

    outcome = await answered(line(out), line(err), line(DONE))

    assert (outcome.stdout, outcome.stderr, outcome.ended_by) == (b"12345", b"678", Ended.EXIT)
    assert not outcome.is_truncated


async def test_more_output_than_allowed_is_cut_here_too() -> None:
    out = {"out": base64.b64encode(b"x" * 8).decode()}

    outcome = await answered(line(out), line(out), line(DONE))

    assert outcome.stdout == b"x" * 10
    assert outcome.is_truncated


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"nonsense\n"],
        [b"[]\n"],
        [b"x" * 100_000 + b"\n"],
        [line({"out": "not base64!"})],
        [line({"done": 1})],
        [line({**DONE, "ended_by": "magic"})],
        [line({**DONE, "exit_code": "none"})],
        [line({**DONE, "done": 2})],
    ],
)
async def test_nonsense_is_a_lost_sandbox(lines: list[bytes]) -> None:
    with pytest.raises(LinkLostError):
        await answered(*lines)
