"""The host's end of a sandbox's session agent: requests out, output and results in.

Whatever comes from inside is checked and bounded here again: sizes, times, shapes.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Protocol

from core import clock
from sandbox.contracts import Command, Ended, Limits, Outcome, Usage
from sandbox.errors import SandboxLostError

LINE_BYTES = 256 * 1024
_GRACE_SECONDS = 3.0  # for the agent to end what ran and to say so


class LinkLostError(Exception):
    """The other end is gone, speaks nonsense or says nothing."""


class Lines(Protocol):
    """What an agent says, a line at a time, as `asyncio.StreamReader` gives it."""

    async def readuntil(self, separator: bytes = b"\n") -> bytes: ...


class AgentLink:
    """One connection to one agent; one call at a time."""

    def __init__(self, reader: Lines, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._last_call = 0

    async def ready(self, *, seconds: float) -> None:
        """Wait until the agent listens. Raises LinkLostError."""
        if not (await self._message(seconds)).get("ready"):
            raise LinkLostError("the session agent did not begin with its greeting")

    async def run(self, command: Command, limits: Limits) -> Outcome:
        """Run one command. Raises LinkLostError."""
        self._last_call += 1
        wall_seconds = min(limits.wall_seconds, command.wall_seconds or limits.wall_seconds)
        self._send(
            {
                "run": self._last_call,
                "argv": command.argv,
                "env": dict(command.env),
                "cwd": command.cwd,
                "stdin": base64.b64encode(command.stdin).decode(),
                "wall_seconds": wall_seconds,
                "output_bytes": limits.output_bytes,
                "secrets": {
                    name: base64.b64encode(value).decode()
                    for name, value in command.secrets.items()
                },
            }
        )
        return await self._answer(clock.monotonic() + wall_seconds, limits.output_bytes)

    async def _answer(self, deadline: float, output_bytes: int) -> Outcome:
        kept: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
        left = output_bytes
        is_cut = False
        while True:
            message = await self._message(deadline + _GRACE_SECONDS - clock.monotonic())
            if message.get("done") == self._last_call:
                return _outcome(message, bytes(kept["out"]), bytes(kept["err"]), is_cut=is_cut)
            for name in kept.keys() & message.keys():
                data = _decoded(message[name])
                kept[name] += data[:left]
                is_cut = is_cut or len(data) > left
                left = max(0, left - len(data))

    def cancel(self) -> None:
        """Ask for the end of the call that runs now."""
        self._send({"cancel": self._last_call})

    def close(self) -> None:
        """Say goodbye: the agent ends, and all it has started with it."""
        self._writer.close()

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer.is_closing():
            raise LinkLostError("the sandbox is closed")
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def _message(self, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                line = await self._reader.readuntil(b"\n")
        except TimeoutError:
            raise LinkLostError("it did not answer in time") from None
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            raise LinkLostError("it ended without an answer") from None
        try:
            message = json.loads(line)
        except ValueError:
            raise LinkLostError("its answer cannot be read") from None
        if not isinstance(message, dict):
            raise LinkLostError("its answer cannot be read")
        return message


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise LinkLostError("its output cannot be read") from None


def _outcome(message: dict[str, Any], stdout: bytes, stderr: bytes, *, is_cut: bool) -> Outcome:
    number: Callable[[str], Any] = message.get
    try:
        return Outcome(
            exit_code=None if number("exit_code") is None else int(number("exit_code")),
            signal=None if number("signal") is None else int(number("signal")),
            stdout=stdout,
            stderr=stderr,
            is_truncated=is_cut or bool(message["is_truncated"]),
            ended_by=Ended(message["ended_by"]),
            usage=Usage(
                wall_seconds=float(message["wall_seconds"]),
                cpu_seconds=float(message["cpu_seconds"]),
                max_rss_bytes=int(message["max_rss_bytes"]),
            ),
        )
    except (KeyError, TypeError, ValueError):
        raise LinkLostError("its answer cannot be read") from None


def lost(reason: str) -> SandboxLostError:
    return SandboxLostError(
        f"The sandbox is gone: {reason}.", remedy="Open a new one; its workspace is kept."
    )
