"""Where the processes of one host put their figures, so that any of them can tell those of all.

A process takes the first free place of its role (`worker-0`, `worker-1`, …) by a lock that the
kernel gives back when it dies, and goes on from what the last holder counted: counters never go
back, and there are never more files than there were processes at once. Files of other hosts are
never read: each host is scraped by itself.
"""

import contextlib
import fcntl
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core import clock
from core.metrics.recording import Recorder, Totals

logger = logging.getLogger(__name__)

PUBLISH_SECONDS = 2.0
# Gauges of a process that has not been heard of for so long are left out.
SILENT_SECONDS = 15.0
_MOST_PLACES = 1_000
_decoder = msgspec.msgpack.Decoder(Totals)


class Shelf:
    """A process's place from `take` to `close`. Figures are written by a thread of its own."""

    def __init__(self, folder: Path, recorder: Recorder) -> None:
        self._folder = folder
        self._recorder = recorder
        self._lock_file: int | None = None
        self._path: Path | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._writing = threading.Lock()

    def take(self, role: str) -> str:
        """Take a place, go on from its figures and publish from now on; returns its name."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(_MOST_PLACES):
            name = f"{role}-{number}"
            base = self._folder / f"{_host()}.{name}"
            descriptor = os.open(f"{base}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            self._lock_file, self._path = descriptor, base.with_name(f"{base.name}.figures")
            self._recorder.process = name
            if (before := _read(self._path)) is not None:
                self._recorder.inherit(before)
            self.publish()
            self._thread = threading.Thread(target=self._keep, name="metrics", daemon=True)
            self._thread.start()
            return name
        raise RuntimeError(f"{_MOST_PLACES} processes of role {role} have places in {self._folder}")

    def publish(self) -> None:
        """Write the figures as they are now; readers see the old ones or the new ones."""
        with self._writing:
            if self._path is None:
                return
            totals = self._recorder.totals()
            totals.pid, totals.at = os.getpid(), clock.now().timestamp()
            temporary = self._path.with_suffix(".new")
            temporary.write_bytes(msgspec.msgpack.encode(totals))
            temporary.replace(self._path)

    def others(self) -> Iterator[Totals]:
        """Yield the figures of every other process of this host, ended ones included."""
        for path in sorted(self._folder.glob(f"{_host()}.*.figures")):
            if path != self._path and (totals := _read(path)) is not None:
                if clock.now().timestamp() - totals.at > SILENT_SECONDS:
                    totals.gauges = {}
                yield totals

    def close(self) -> None:
        """Write the last figures without gauges, and give the place to the next process."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._lock_file is None:
            return
        self._recorder.gauges_end()
        self.publish()
        self._path = None
        os.close(self._lock_file)
        self._lock_file = None

    def _keep(self) -> None:
        while not self._stopping.wait(PUBLISH_SECONDS):
            try:
                self.publish()
            except OSError:
                # A full disk costs figures, never work; the next beat tries again.
                logger.warning("metrics_not_written", exc_info=True)


def _read(path: Path) -> Totals | None:
    """Return what a process has written; None when it has not, or in another form."""
    with contextlib.suppress(FileNotFoundError):
        try:
            return _decoder.decode(path.read_bytes())
        except msgspec.MsgspecError:
            logger.warning("metrics_unreadable", extra={"file": path.name})
    return None


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())
