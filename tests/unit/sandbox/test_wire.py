"""What goes over the worker's socket comes out as it went in, or the conversation ends."""

import asyncio
import struct

import pytest

from core.errors import DomainError
from sandbox import errors
from sandbox.contracts import Command, Ended, HostCredential, Isolation, Outcome, Profile
from sandbox.remote import wire

MESSAGES: list[wire.Request] = [
    wire.Look(),
    wire.Look(isolation=Isolation.SITE),
    wire.Open(
        workspace="/w/ä",
        profile=Profile(isolation=Isolation.GVISOR, net=("a.example:443",)),
        credentials=(HostCredential(host="a.example:443", header="X-Key", value="v"),),
    ),
    wire.Run(
        number=7,
        command=Command(argv=("sh", "-c", "true"),
                        stdin=b"\0\xff", env={"A": "b"}, secrets={"key": b"\0s"}),
    ),
    wire.Abandon(number=7),
    wire.Cancel(),
    wire.Close(),
]  # fmt: skip


def fed(*parts: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


async def test_requests_arrive_as_they_were_sent() -> None:
    reader = fed(*map(wire.packed, MESSAGES))

    assert [await wire.next_request(reader) for _ in MESSAGES] == MESSAGES
    assert await wire.next_request(reader) is None


async def test_an_outcome_arrives_as_it_was() -> None:
    outcome = Outcome(
        exit_code=None, signal=9, stdout=bytes(range(256)), stderr=b"", is_truncated=True,
        ended_by=Ended.MEMORY,
    )  # fmt: skip

    told = await wire.next_reply(fed(wire.packed(wire.Ran(number=1, outcome=outcome))))

    assert told == wire.Ran(number=1, outcome=outcome)


@pytest.mark.parametrize(
    "error",
    [
        errors.SandboxRefusedError("cannot", remedy="do"),
        errors.SandboxUnavailableError("is not there", remedy="install"),
        errors.SandboxCrowdedError("full", remedy="wait"),
        errors.SandboxBusyError("taken"),
        errors.SandboxLostError("gone"),
        errors.UnsafePathError("leads out"),
    ],
)
async def test_an_error_is_raised_again_as_what_it_was(error: DomainError) -> None:
    told = await wire.next_reply(fed(wire.packed(wire.failed(error, number=3))))

    assert isinstance(told, wire.Failed)
    again = wire.raised(told)
    assert (type(again), again.message, again.remedy) == (type(error), error.message, error.remedy)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!I", wire.MOST_BYTES + 1),
        struct.pack("!I", 3) + b"\xc1\xc1\xc1",
        struct.pack("!I", 1) + b"\x80",  # an object without a tag
        wire.packed(wire.Closed()),  # an answer is no request
    ],
)
async def test_nonsense_ends_the_conversation(data: bytes) -> None:
    with pytest.raises(wire.BrokenWireError):
        await wire.next_request(fed(data))


async def test_a_message_that_breaks_off_is_the_end() -> None:
    whole = wire.packed(wire.Look())

    assert await wire.next_request(fed(whole[:-1])) is None
    assert await wire.next_request(fed(whole[:2])) is None


async def test_a_command_that_breaks_a_rule_is_not_taken() -> None:
    good = wire.packed(wire.Run(number=1, command=Command(argv=("a",), cwd="/workspace")))
    bad = good.replace(b"/workspace", b"/somewhere")

    with pytest.raises(wire.BrokenWireError, match="starts inside"):
        await wire.next_request(fed(bad))
