"""The evaluating processes: started when first needed, given one request at a time, replaced when
they overrun or die.

A request is handed over and waited for under a deadline; past it the process is killed, since
nothing else stops what it does. A process that was forked from ours starts its own.
"""

import os
import select
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import msgspec

from core.clock import monotonic
from core.env import environment_of_child

MAX_PROCESS_BYTES = 512 * 1024**2
_MODULE = "governance.policy.rego.worker"
_KEPT = ("PATH", "LANG", "LC_ALL")  # a policy must not be near anything secret

_pools: "weakref.WeakSet[RegoPool]" = weakref.WeakSet()


class RegoFailedError(Exception):
    """There is no answer; the text is a clause that says why."""


class RegoOverrunError(RegoFailedError):
    """The process did not answer in time, or not at all; it was replaced."""


class RegoPool:
    """At most `processes` evaluations at a time. Safe for concurrent use by threads.

    `queue_seconds` bounds the wait for a free process, `start_seconds` the start of one and the
    loading of a policy; neither counts against the deadline of an evaluation.
    """

    def __init__(
        self, *, processes: int = 2, queue_seconds: float = 2.0, start_seconds: float = 20.0
    ) -> None:
        self._processes = processes
        self._queue_seconds = queue_seconds
        self._start_seconds = start_seconds
        self._idle: list[_Process] = []
        self._begin()
        _pools.add(self)

    def check(self, names: list[str]) -> list[str]:
        """Return those of the names that are no built-in functions here."""
        answer = self._ask({"do": "check", "names": names}, None, 0.0)
        found: list[str] = answer["unknown"]
        return found

    def evaluate(self, *, digest: str, module: str, document: bytes, seconds: float) -> Any:
        """Return what the module answers to the document.

        Raises:
            RegoFailedError: there is no answer.
        """
        request = {"do": "evaluate", "digest": digest, "document": document.decode()}
        load = {"do": "load", "digest": digest, "module": module}
        return self._ask(request, load, seconds)["answer"]

    def close(self) -> None:
        """End the idle processes; busy ones end when they are given back."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    def _ask(
        self, request: dict[str, Any], load: dict[str, Any] | None, seconds: float
    ) -> Mapping[str, Any]:
        if not self._free.acquire(timeout=self._queue_seconds):
            raise RegoFailedError("all evaluating processes are busy")
        process = None
        try:
            process = self._take()
            answer = self._exchange(process, request, load, seconds)
        except BaseException as error:
            if process is not None:
                process.end()
            if isinstance(error, OSError):
                raise RegoOverrunError("the evaluating process could not be used") from error
            raise
        else:
            self._give_back(process, int(answer.get("held_bytes", 0)))
        finally:
            self._free.release()
        if "failed" in answer:
            raise RegoFailedError(str(answer["failed"]))
        return answer

    def _exchange(
        self,
        process: "_Process",
        request: dict[str, Any],
        load: dict[str, Any] | None,
        seconds: float,
    ) -> Mapping[str, Any]:
        if load is None:
            return process.ask(request, self._start_seconds)
        if load["digest"] not in process.loaded:
            loaded = process.ask(load, self._start_seconds)
            if "failed" in loaded:
                return loaded
            process.loaded.add(load["digest"])
        # Its own alarm is later than ours: it is for a process whose owner is gone.
        answer = process.ask({**request, "seconds": seconds + 5}, seconds)
        if "missing" in answer:
            process.loaded.discard(load["digest"])
            return self._exchange(process, request, load, seconds)
        return answer

    def _give_back(self, process: "_Process", held_bytes: int) -> None:
        if held_bytes > MAX_PROCESS_BYTES:
            process.end()
            return
        with self._lock:
            self._idle.append(process)

    def _take(self) -> "_Process":
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Process(self._start_seconds)

    def _begin(self) -> None:
        self._free = threading.Semaphore(self._processes)
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """Leave the processes to the parent; locks may have been held by threads that are gone."""
        idle, self._idle = self._idle, []
        self._begin()
        for process in idle:
            process.forget()


def _leave_to_parent() -> None:
    for pool in _pools:
        pool.after_fork()


os.register_at_fork(after_in_child=_leave_to_parent)


class _Process:
    """One evaluating process and what it has loaded."""

    def __init__(self, start_seconds: float) -> None:
        inherited = environment_of_child()
        environment = {name: value for name, value in inherited.items() if name in _KEPT}
        # It finds our package where we found it, and nothing in the folder we happen to be in.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(  # noqa: S603 - our own module, nothing of a request
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)
        self.loaded: set[str] = set()
        # Its start is not a part of anybody's deadline.
        try:
            self.ask({"do": "check", "names": []}, start_seconds)
        except BaseException:
            self.end()
            raise

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and return the answer, all within `seconds`."""
        ends_at = monotonic() + seconds
        body = msgspec.json.encode(request)
        waiting = memoryview(struct.pack(">I", len(body)) + body)
        while waiting:
            self._wait(self._input, select.POLLOUT, ends_at)
            waiting = waiting[os.write(self._input, waiting) :]
        size: int = struct.unpack(">I", self._read(4, ends_at))[0]
        answer: dict[str, Any] = msgspec.json.decode(self._read(size, ends_at))
        return answer

    def _read(self, size: int, ends_at: float) -> bytes:
        found = bytearray()
        while len(found) < size:
            self._wait(self._output, select.POLLIN, ends_at)
            if not (piece := os.read(self._output, size - len(found))):
                raise RegoOverrunError("the evaluating process ended without an answer")
            found += piece
        return bytes(found)

    def _wait(self, descriptor: int, event: int, ends_at: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(max(0.0, ends_at - monotonic()) * 1000):
            raise RegoOverrunError("it took too long")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Close our ends of the pipes, leaving the process to its owner."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        if self._process.returncode is None:
            self._process.returncode = 0  # so that nobody here waits for it
