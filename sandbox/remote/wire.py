"""What goes over the worker's socket: records in MessagePack, each behind its length.

One connection is one conversation: a question that is answered, or one sandbox from its opening to
its end. The end of the connection is the end of the sandbox.
"""

import asyncio
import struct
from typing import TypeAlias

import msgspec

from core.errors import DomainError
from sandbox import errors
from sandbox.contracts import (
    Abilities,
    Command,
    Crowd,
    HostCredential,
    Isolation,
    Outcome,
    Profile,
)

VERSION = 1
MOST_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct("!I")


class Look(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask what the runner for `isolation` can hold; None asks for all engines, best first."""

    version: int = VERSION
    isolation: Isolation | None = None


class Count(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask how many sandboxes are open and how many wait for a place; answered by `Counted`."""

    version: int = VERSION


class Open(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for a sandbox. `workspace` is an absolute path below the worker's folder of them."""

    version: int = VERSION
    workspace: str
    profile: Profile
    credentials: tuple[HostCredential, ...] = ()


class Run(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Run a command; answered by `Ran` or `Failed` with the same number."""

    number: int
    command: Command
    trace_parent: str = ""


class Abandon(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Whoever awaited this call is gone: kill it, or forget it if it has not begun."""

    number: int


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """End the call that runs now; it is answered as cancelled."""


class Close(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Take the sandbox down; answered by `Closed` or `Failed` when nothing of it is left."""


class Told(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    abilities: tuple[Abilities, ...]


class Counted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    crowd: Crowd


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The sandbox is there; `engine` is the one that was chosen."""

    engine: Isolation


class Ran(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    number: int
    outcome: Outcome


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last word of a conversation."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`number` is the call's; 0: opening or closing failed."""

    number: int = 0
    code: str
    message: str
    remedy: str = ""


Request: TypeAlias = Look | Count | Open | Run | Abandon | Cancel | Close
Reply: TypeAlias = Told | Counted | Opened | Ran | Closed | Failed

_ERRORS: dict[str, type[DomainError]] = {
    kind.code: kind
    for kind in (
        errors.SandboxRefusedError,
        errors.SandboxUnavailableError,
        errors.SandboxCrowdedError,
        errors.SandboxBusyError,
        errors.SandboxLostError,
        errors.UnsafePathError,
    )
}
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


class BrokenWireError(Exception):
    """What came is no message of this protocol; the conversation is over."""


def failed(error: DomainError, *, number: int = 0) -> Failed:
    return Failed(number=number, code=error.code, message=error.message, remedy=error.remedy)


def raised(told: Failed) -> DomainError:
    """Return the error as it was raised at the other end."""
    kind = _ERRORS.get(told.code, errors.SandboxUnavailableError)
    return kind(told.message, remedy=told.remedy)


def packed(message: Request | Reply) -> bytes:
    """Return the message ready to be written. Raises SandboxRefusedError when it is too large."""
    body = msgspec.msgpack.encode(message)
    if len(body) > MOST_BYTES:
        raise errors.SandboxRefusedError(
            f"A message of {len(body)} bytes does not go to the sandbox worker; "
            f"{MOST_BYTES} is the most.",
            remedy="Put large inputs and results into files of the workspace.",
        )
    return _LENGTH.pack(len(body)) + body


async def next_request(reader: asyncio.StreamReader) -> Request | None:
    """Return the next message; None at the end. Raises BrokenWireError."""
    body = await _body(reader)
    try:
        return None if body is None else _requests.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise BrokenWireError(str(error)) from error


async def next_reply(reader: asyncio.StreamReader) -> Reply | None:
    """Return the next message; None at the end. Raises BrokenWireError."""
    body = await _body(reader)
    try:
        return None if body is None else _replies.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise BrokenWireError(str(error)) from error


async def _body(reader: asyncio.StreamReader) -> bytes | None:
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MOST_BYTES:
            raise BrokenWireError(f"a message of {length} bytes was announced")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None
