"""Listening: who may connect, draining at the end, and taking away what dead owners left."""

import asyncio
import contextlib
import fcntl
import grp
import logging
import os
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.env import Environment
from sandbox.errors import SandboxUnavailableError
from sandbox.services import Sandboxes
from sandbox.worker.conversation import Conversation
from sandbox.worker.places import Places

_log = logging.getLogger(__name__)
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_PEER_GROUPS = 59  # SO_PEERGROUPS of socket(7)
_MOST_GROUPS = 256  # as many as Python reads of an option
_LONGEST_PATH = 107  # struct sockaddr_un
_REAP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`group` may connect beside the worker's own user and root; `folder` holds locks and places,
    those of `sandbox.services` when it is None."""

    socket: Path
    workspaces: Path
    at_most: int = 64
    wait_seconds: float = 60.0
    drain_seconds: float = 20.0
    group: str = ""
    folder: Path | None = None

    @classmethod
    def of(
        cls, env: Environment, *, socket: Path, workspaces: Path, folder: Path | None = None
    ) -> "Setting":
        """Return the setting this environment describes. Raises ConfigurationError."""
        return cls(
            socket=socket,
            workspaces=workspaces.absolute(),
            folder=folder,
            at_most=env.integer("AGENTRY_SANDBOX_AT_MOST"),
            wait_seconds=env.number("AGENTRY_SANDBOX_WAIT_SECONDS"),
            drain_seconds=env.number("AGENTRY_SANDBOX_DRAIN_SECONDS"),
            group=env.text("AGENTRY_SANDBOX_GROUP"),
        )


class Worker:
    """Owns the engines of this host for everybody who may connect. One for each event loop."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._sandboxes = Sandboxes(setting.folder)
        self._places = Places(at_most=setting.at_most, wait_seconds=setting.wait_seconds)
        self._group = _group_id(setting.group)
        self._held: dict[Conversation, asyncio.Task[None]] = {}
        self._is_draining = False

    async def run(self, *, until: asyncio.Event, ready: asyncio.Event | None = None) -> None:
        """Serve until the event is set; then drain, and end what has not ended by itself.

        Raises:
            SandboxUnavailableError: It cannot listen; the sentence says why.
        """
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(_bound(self._setting.socket, self._group))
            await self._reap()
            server = await asyncio.start_unix_server(self._connected, sock=listening)
            reaping = asyncio.ensure_future(self._reap_again())
            try:
                if ready is not None:
                    ready.set()
                await until.wait()
            finally:
                server.close()
                reaping.cancel()
                await asyncio.gather(reaping, return_exceptions=True)
                await self._drain()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("socket")
        if not is_allowed(peer, group=self._group):
            _log.warning("a connection of another user was refused")
            writer.close()
            return
        task = asyncio.current_task()
        conversation = Conversation(
            reader=reader,
            writer=writer,
            sandboxes=self._sandboxes,
            places=self._places,
            workspaces=self._setting.workspaces,
            peer=user_of(peer)[0],
        )
        if task is None or self._is_draining:
            writer.close()
            return
        self._held[conversation] = task
        try:
            await conversation.hold()
        except OSError as error:
            _log.warning("a connection broke: %s", error)
        finally:
            del self._held[conversation]

    async def _drain(self) -> None:
        """Let running calls end, for a while; then end them. Nothing is left either way."""
        self._is_draining = True
        for conversation in list(self._held):
            conversation.drain()
        if self._held:
            await asyncio.wait(self._held.values(), timeout=self._setting.drain_seconds)
        left = list(self._held.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _reap_again(self) -> None:
        while True:
            await asyncio.sleep(_REAP_SECONDS)
            await self._reap()

    async def _reap(self) -> None:
        try:
            for sentence in await asyncio.to_thread(self._sandboxes.reap):
                _log.info("%s", sentence)
        except OSError:
            _log.exception("what dead owners left could not be looked for")


def user_of(peer: socket.socket) -> tuple[int, int]:
    """Return the user and the group of the process at the other end."""
    told = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(told)
    return uid, gid


def is_allowed(peer: socket.socket, *, group: int | None) -> bool:
    """Say whether the process at the other end is root's, our own user's, or in the group."""
    uid, gid = user_of(peer)
    if uid in {0, os.geteuid()}:
        return True
    if group is None:
        return False
    try:
        more = peer.getsockopt(socket.SOL_SOCKET, _PEER_GROUPS, 4 * _MOST_GROUPS)
    except OSError as error:
        _log.warning("the groups of a connection could not be read (%s)", error.strerror)
        return False
    return group in {gid, *struct.unpack(f"{len(more) // 4}I", more)}


async def serve(setting: Setting, *, input_ends: int | None = None, is_told: bool = False) -> None:
    """Run a worker until SIGTERM, SIGINT or the end of the descriptor `input_ends`.

    With `is_told` one line, `ready`, goes to standard output when it listens.
    """
    loop = asyncio.get_running_loop()
    until, ready = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, until.set)
    if input_ends is not None:
        loop.add_reader(input_ends, _at_the_end, input_ends, until)

    async def tell() -> None:
        await ready.wait()
        os.write(1, b"ready\n")

    telling = asyncio.ensure_future(tell()) if is_told else None
    try:
        await Worker(setting).run(until=until, ready=ready)
    finally:
        if telling is not None:
            telling.cancel()


def _at_the_end(descriptor: int, until: asyncio.Event) -> None:
    if not os.read(descriptor, 4096):
        asyncio.get_running_loop().remove_reader(descriptor)
        until.set()


@contextlib.contextmanager
def _bound(path: Path, group: int | None) -> Iterator[socket.socket]:
    """Hold the place and the socket; a socket that a dead worker left is taken over."""
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise SandboxUnavailableError(
            f"{path} is too long for a socket.",
            remedy=f"Name one of at most {_LONGEST_PATH} bytes in AGENTRY_SANDBOX_SOCKET.",
        )
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    lock = _locked(path.with_name(f"{path.name}.lock"))
    if lock is None:
        raise SandboxUnavailableError(
            f"A sandbox worker listens at {path} already.",
            remedy="Stop it, or name another socket.",
        )
    try:
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listening:
            before = os.umask(0o177)
            try:
                listening.bind(str(path))
            finally:
                os.umask(before)
            if group is not None:
                os.chown(path, -1, group)
                path.chmod(0o660)
            listening.listen(512)
            listening.setblocking(False)
            yield listening
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    finally:
        os.close(lock)


def _locked(file: Path) -> int | None:
    """Return a descriptor that holds the lock until it is closed; None while another has it."""
    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        if os.fstat(lock).st_nlink:
            return lock
        os.close(lock)  # its last holder has just deleted it


def _group_id(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise SandboxUnavailableError(
            f"There is no group {name!r} on this host.",
            remedy="Make it, or change AGENTRY_SANDBOX_GROUP.",
        ) from None
