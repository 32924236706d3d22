"""The gateway of one sandbox: a Unix socket, the rules behind it, and what has to be put inside.

It lives in the process that owns the runner. The sandbox has no other way out: no route, no names,
no other socket. What may be reached belongs to the socket, so nothing inside is trusted to say who
it is.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

from sandbox.contracts import Connection, HostCredential
from sandbox.egress.bounds import Bounds
from sandbox.egress.conversation import TLS_PORTS, Conversation, Desk
from sandbox.egress.credentials import Credentials
from sandbox.egress.flow import Meter
from sandbox.egress.outside import Outside, Streams, close
from sandbox.egress.rules import Rules
from sandbox.egress.ways import Ways

INSIDE = "/run/agentry-egress"
SOCKET = "gateway.sock"
ROOTS = "roots.pem"
AUTHORITY = f"{INSIDE}/{ROOTS}"
_BACKLOG = 128
_GRACE_SECONDS = 0.5  # for what a call has sent to arrive after the call has ended
_FOLDER_MODE = 0o711


class Gateway:
    """One for each sandbox, and for one event loop.

    `environment`, `hosts` and `ways` are what the runner puts inside; the folder given to `open`,
    with the socket and `files` in it, is mounted at `INSIDE`, read-only.
    """

    def __init__(
        self,
        net: Sequence[str],
        credentials: Sequence[HostCredential] = (),
        *,
        has_low_ports: bool = False,
        open_files: int = 256,
        outside: Outside | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """`has_low_ports`: programs inside may listen below 1024; `open_files`: they may open.

        Raises:
            SandboxRefusedError: An entry or a credential cannot be used.
        """
        rules = Rules(net)
        given = Credentials(credentials, rules)
        self._desk = Desk(
            rules=rules,
            credentials=given,
            outside=outside or Outside(),
            bounds=bounds or Bounds(),
        )
        self.ways = Ways.to(rules, has_low_ports=has_low_ports)
        self.ways.check(open_files)
        self._server: asyncio.Server | None = None
        self._socket: Path | None = None
        self._folder = -1  # a descriptor: the name of a socket is short, that of a folder is not
        self._open: dict[asyncio.Task[None], Conversation] = {}
        self._records: list[Connection] = []
        self._unrecorded = 0
        self._meter = Meter(self._desk.bounds)

    # What goes inside

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what makes ordinary clients use the gateway."""
        proxy = f"http://{self.ways.proxy.host}:{self.ways.proxy.port}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        found = dict.fromkeys(names, proxy)
        found |= dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(self.ways.past_the_proxy))
        if self.files:
            found |= dict.fromkeys(
                ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
                 "GIT_SSL_CAINFO"), AUTHORITY,
            )  # fmt: skip
        return found

    @property
    def hosts(self) -> Sequence[str]:
        """Return lines for /etc/hosts."""
        return self.ways.hosts

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """Return what else is in the folder, by its path inside.

        Roots to trust, where the gateway speaks TLS itself.
        """
        if not self._desk.credentials.places:
            return {}
        return {AUTHORITY: self._desk.credentials.authority.certificate() + _system_roots()}

    # Its life

    @asynccontextmanager
    async def open(self, folder: Path, *, uid: int | None = None) -> AsyncIterator[Self]:
        """Serve while the block runs; see `start`."""
        await self.start(folder, uid=uid)
        try:
            yield self
        finally:
            await self.close()

    async def start(self, folder: Path, *, uid: int | None = None) -> None:
        """Listen in `folder`, which is ours alone, for the user `uid` (None: our own)."""
        self._folder = _readied(folder, self.files)
        self._socket = folder / SOCKET
        listener = _listening(f"/proc/self/fd/{self._folder}/{SOCKET}", uid)
        self._server = await asyncio.start_unix_server(
            self._met, sock=listener, limit=self._desk.bounds.head_bytes
        )

    async def close(self) -> None:
        """End every connection and take the socket away. May be called twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self._end()
        if self._socket is not None:
            _emptied(self._socket.parent)
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    async def taken(self) -> tuple[Connection, ...]:
        """End what is still open and return all connections since this was last asked.

        To be called when nothing runs inside: what has been sent still arrives, for a moment.
        """
        for _ in range(3):
            await asyncio.sleep(0)  # whatever waits in the backlog is met
        if self._open:
            await asyncio.wait(self._open, timeout=_GRACE_SECONDS)
        await self._end()
        found, self._records = self._records, []
        if self._unrecorded:
            found.append(
                Connection(
                    host="",
                    port=0,
                    is_allowed=False,
                    reason=f"{self._unrecorded} more connections are not listed",
                )
            )
            self._unrecorded = 0
        self._meter = Meter(self._desk.bounds)
        return tuple(found)

    async def _end(self) -> None:
        for task, conversation in list(self._open.items()):
            conversation.cut()
            task.cancel()
        if self._open:
            await asyncio.wait(list(self._open))

    # Connections

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(self._desk, self._meter, (reader, writer))
        is_too_many = len(self._open) >= self._desk.bounds.connections
        task = asyncio.get_running_loop().create_task(
            self._talk(conversation, (reader, writer), is_too_many=is_too_many)
        )
        self._open[task] = conversation
        task.add_done_callback(self._over)

    async def _talk(self, conversation: Conversation, near: Streams, *, is_too_many: bool) -> None:
        try:
            if is_too_many:
                await conversation.turn_away()
            else:
                await conversation.serve()
            await _flushed(near[1])
        finally:
            await close(near[1])

    def _over(self, task: asyncio.Task[None]) -> None:
        record = self._open.pop(task).record
        if len(self._records) < self._desk.bounds.records:
            self._records.append(record)
        else:
            self._unrecorded += 1
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": "A connection of a sandbox failed", "exception": error, "task": task}
            )


def _readied(folder: Path, files: Mapping[str, bytes]) -> int:
    """Put the files in and return the folder's descriptor; a link in its place is an OSError."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    folder.chmod(_FOLDER_MODE)
    for left in folder.iterdir():
        left.unlink()
    for place, content in files.items():
        file = folder / Path(place).name
        file.write_bytes(content)
        file.chmod(0o444)
    return descriptor


def _emptied(folder: Path) -> None:
    for file in (folder / SOCKET, folder / ROOTS):
        file.unlink(missing_ok=True)


def _listening(name: str, uid: int | None) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(name)
        Path(name).chmod(0o600)
        if uid is not None:
            os.chown(name, uid, -1)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


async def _flushed(writer: asyncio.StreamWriter) -> None:
    """Let what was written go out before the end is closed."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_GRACE_SECONDS * 4):
            writer.close()
            await writer.wait_closed()


def _system_roots() -> bytes:
    """Return the roots this host trusts, for the hosts whose TLS is left alone."""
    paths = ssl.get_default_verify_paths()
    for place in (paths.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/cert.pem"):
        if place and Path(place).is_file():
            return Path(place).read_bytes()
    return b""


__all__ = ["AUTHORITY", "INSIDE", "SOCKET", "TLS_PORTS", "Gateway"]
