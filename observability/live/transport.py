"""How news crosses processes.

In one process the writers call the hubs directly. Between processes news travels through one
capped Redis stream: each process has one thread that writes what its journal announced and, while
it has viewers, one task a hub that reads what the others wrote. Redis may be away or lose
everything at any time: news is then dropped, and the hubs look at the rows.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
import redis
import redis.asyncio
import structlog
from redis.exceptions import RedisError

from core.ids import new_id
from observability.contracts import Announcement, Delta
from observability.live.fanout import Hub

log = structlog.get_logger(__name__)

STREAM = "agentry:live"
STREAM_ENTRIES = 2_000
MAX_WAITING_RUNS = 50_000
MAX_WAITING_DELTAS = 2_000
_GATHER_SECONDS = 0.005
_BLOCK_MILLISECONDS = 2_000
_BACKOFF_FIRST_SECONDS = 0.1
_BACKOFF_LAST_SECONDS = 2.0


class _Batch(msgspec.Struct, frozen=True, array_like=True):
    origin: str
    announcements: tuple[Announcement, ...]
    deltas: tuple[Delta, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Batch).decode


class RedisPublisher:
    """Writes news to the stream from a thread of its own; calls return at once and never raise.

    What waits is bounded: the newest announcement of each run and the newest deltas.
    """

    def __init__(self, url: str, *, origin: str) -> None:
        self._origin = origin
        self._client = redis.Redis.from_url(
            url, socket_timeout=2.0, socket_connect_timeout=2.0, protocol=2
        )
        self._news = threading.Condition()
        self._waiting: dict[UUID, Announcement] = {}
        self._deltas: list[Delta] = []
        self._is_idle = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="live-publisher", daemon=True)
        self._thread.start()

    def publish(self, announcements: Sequence[Announcement], deltas: Sequence[Delta] = ()) -> None:
        with self._news:
            for item in announcements:
                known = self._waiting.get(item.run_id)
                if known is None and len(self._waiting) >= MAX_WAITING_RUNS:
                    continue
                if known is None or known.head_sequence < item.head_sequence:
                    self._waiting[item.run_id] = item
            self._deltas += deltas
            del self._deltas[:-MAX_WAITING_DELTAS]
            if self._is_idle:
                self._news.notify()

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """Send what waits if Redis answers, and end the thread."""
        with self._news:
            self._stopping.set()
            self._news.notify()
        self._thread.join(timeout_seconds)
        self._client.close()

    def _write(self) -> None:
        backoff = 0.0
        while True:
            with self._news:
                while not (self._waiting or self._deltas or self._stopping.is_set()):
                    self._is_idle = True
                    self._news.wait()
                self._is_idle = False
                batch = self._take()
                if batch is None:
                    return
            try:
                self._client.xadd(
                    STREAM, {b"b": _encode(batch)}, maxlen=STREAM_ENTRIES, approximate=True
                )
            except (RedisError, OSError) as error:
                if not backoff:
                    log.warning("live.redis_unreachable", role="publisher", error=str(error))
                backoff = min(max(_BACKOFF_FIRST_SECONDS, backoff * 2), _BACKOFF_LAST_SECONDS)
                self.publish(batch.announcements)  # the deltas are stale by the next try
                if self._stopping.is_set():
                    return
                self._stopping.wait(backoff)
            else:
                if backoff:
                    log.info("live.redis_back", role="publisher")
                backoff = 0.0
                # Not woken by what arrives meanwhile: it is what is being waited for.
                self._stopping.wait(_GATHER_SECONDS)

    def _take(self) -> _Batch | None:
        if not self._waiting and not self._deltas:
            return None
        batch = _Batch(self._origin, tuple(self._waiting.values()), tuple(self._deltas))
        self._waiting = {}
        self._deltas = []
        return batch


class RedisReader:
    """Feeds one hub from the stream, on the hub's loop."""

    def __init__(self, url: str, hub: Hub, *, origin: str) -> None:
        self._url = url
        self._hub = hub
        self._origin = origin
        self._is_stopping = False
        self._task = asyncio.create_task(self._read_forever(), name="live-redis-reader")

    async def aclose(self) -> None:
        """End the task. The client may swallow a cancellation that meets an answer; then the flag
        ends the loop, and the next cancellation the call it is in."""
        self._is_stopping = True
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=0.1)

    async def _read_forever(self) -> None:
        backoff = 0.0
        while not self._is_stopping:
            client = redis.asyncio.Redis.from_url(
                self._url,
                socket_timeout=_BLOCK_MILLISECONDS / 1000 + 3.0,
                socket_connect_timeout=2.0,
                protocol=2,
            )
            try:
                last = await _last_id(client)
                # Whatever was written while nobody listened is in the rows.
                self._hub.recheck_all()
                if backoff:
                    log.info("live.redis_back", role="reader")
                backoff = 0.0
                while not self._is_stopping:
                    last = await self._read_once(client, last)
            except (RedisError, OSError, TimeoutError) as error:
                if not backoff:
                    log.warning("live.redis_unreachable", role="reader", error=str(error))
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await client.aclose()
            backoff = min(max(_BACKOFF_FIRST_SECONDS, backoff * 2), _BACKOFF_LAST_SECONDS)
            await asyncio.sleep(backoff)

    async def _read_once(self, client: redis.asyncio.Redis, last: bytes) -> bytes:
        # The stubs allow for decoded and RESP3 answers; this client asks for neither.
        answer: Any = await client.xread({STREAM: last}, count=200, block=_BLOCK_MILLISECONDS)
        for _, entries in answer or ():
            for entry, fields in entries:
                last = entry
                try:
                    batch = _decode(fields[b"b"])
                except (KeyError, msgspec.MsgspecError) as error:
                    log.warning("live.entry_unreadable", entry=last.decode(), error=str(error))
                    continue
                if batch.origin != self._origin:
                    self._hub.notify(batch.announcements, batch.deltas)
        return last


async def _last_id(client: redis.asyncio.Redis) -> bytes:
    newest: Any = await client.xrevrange(STREAM, count=1)
    return bytes(newest[0][0]) if newest else b"0-0"


class LiveProcess:
    """Live delivery of one process: its hubs (one an event loop) and its way to the others.

    Without a Redis URL news stays in the process. `make_hub` builds the hub of the running loop.
    """

    def __init__(self, *, redis_url: str, make_hub: Callable[[], Hub]) -> None:
        self._redis_url = redis_url
        self._make_hub = make_hub
        self._origin = str(new_id())
        self._hubs: dict[asyncio.AbstractEventLoop, Hub] = {}
        self._readers: dict[Hub, RedisReader] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._publisher = RedisPublisher(redis_url, origin=self._origin) if redis_url else None

    def announce(self, announcements: Sequence[Announcement]) -> None:
        for hub in tuple(self._hubs.values()):
            hub.notify(announcements)
        if self._publisher is not None:
            self._publisher.publish(announcements)

    def emit_delta(self, delta: Delta) -> None:
        for hub in tuple(self._hubs.values()):
            hub.notify((), (delta,))
        if self._publisher is not None:
            self._publisher.publish((), (delta,))

    def hub(self) -> Hub:
        """Return the hub of the running loop, starting it on first use."""
        loop = asyncio.get_running_loop()
        known = self._hubs.get(loop)
        if known is not None and known.is_running:
            return known
        if known is not None:  # it failed, has said so and closed its viewers
            task = loop.create_task(self._retire(known, self._readers.pop(known, None)))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        for closed in [item for item in self._hubs if item.is_closed()]:
            self._readers.pop(self._hubs.pop(closed), None)
        hub = self._make_hub()
        self._hubs[loop] = hub
        if self._redis_url:
            self._readers[hub] = RedisReader(self._redis_url, hub, origin=self._origin)
        return hub

    async def aclose(self) -> None:
        """Stop the running loop's hub; viewers are told to connect again."""
        hub = self._hubs.pop(asyncio.get_running_loop(), None)
        if hub is None:
            return
        await self._retire(hub, self._readers.pop(hub, None))

    @staticmethod
    async def _retire(hub: Hub, reader: RedisReader | None) -> None:
        if reader is not None:
            await reader.aclose()
        await hub.aclose()

    def close(self) -> None:
        """Stop publishing."""
        if self._publisher is not None:
            self._publisher.close()
