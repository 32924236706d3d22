"""Process 1 of a sandbox: runs one command after the other and leaves nothing of any behind.

Reads JSON lines on standard input and writes JSON lines on standard output; `sandbox.runners.link`
is the other end. It is copied into the sandbox and run by whatever Python 3.8 or newer is there, so
it uses the standard library only. What it reports is as trustworthy as the sandbox: limits that
matter are held from outside.

    in   {"run": 1, "argv": [...], "env": {...}, "cwd": "...", "stdin": base64,
          "wall_seconds": 60, "output_bytes": 1000, "secrets": {name: base64}}
         {"cancel": 1}
    out  {"ready": true}
         {"out": base64} and {"err": base64}, as it comes
         {"done": 1, "ended_by": "exit", "exit_code": 0, "signal": null, "is_truncated": false, ...}

With one argument it also is the sandbox's way to its gateway; `relay.py`, beside it, says how.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from sandbox.inside.relay import Relay

CHUNK = 65536
SECRETS = "/run/secrets"  # in memory; empty but while a call runs that has some
SET_DUMPABLE = 4  # prctl(2)
BECOMES_VICTIM = b"500"  # out of memory, the work dies before this process


class Call:
    """One running command: its process, its pipes, and why it has to end."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.id = request["run"]
        self.started = time.monotonic()
        self.deadline = self.started + request["wall_seconds"]
        self.output_left = request["output_bytes"]
        self.input = memoryview(base64.b64decode(request["stdin"]))
        self.status: int | None = None
        self.ended_by = ""
        self.is_truncated = False
        self.cpu_seconds = 0.0
        self.max_rss_bytes = 0
        ends = [os.pipe(), os.pipe(), os.pipe()]
        self.pid = os.fork()
        if self.pid == 0:
            become(request, [ends[0][0], ends[1][1], ends[2][1]])
        os.close(ends[0][0])
        os.close(ends[1][1])
        os.close(ends[2][1])
        self.feed = ends[0][1]
        self.streams = {ends[1][0]: "out", ends[2][0]: "err"}
        for descriptor in (self.feed, *self.streams):
            os.set_blocking(descriptor, False)

    def is_going_on(self) -> bool:
        return self.status is None and not self.ended_by

    def reap(self, options: int) -> bool:
        """Collect what has died; False when there is nothing left to wait for."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, options)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.cpu_seconds += usage.ru_utime + usage.ru_stime
            self.max_rss_bytes = max(self.max_rss_bytes, usage.ru_maxrss * 1024)
            if pid == self.pid:
                self.status = status

    def read(self, descriptor: int) -> bool:
        """Pass on what is there; False at the end of the stream."""
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return True
        if len(data) > self.output_left:
            data, self.is_truncated = data[: self.output_left], True
            self.ended_by = self.ended_by or ("output" if self.status is None else "")
        self.output_left -= len(data)
        if data:
            tell({self.streams[descriptor]: base64.b64encode(data).decode()})
            return True
        return self.is_truncated

    def write(self) -> None:
        try:
            self.input = self.input[os.write(self.feed, self.input[:CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.input = self.input[:0]

    def close_input(self) -> None:
        if self.feed >= 0:
            os.close(self.feed)
            self.feed = -1


def become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """In the child: take the pipes, give up what the parent had, turn into the command."""
    named = "the sandbox"
    try:
        os.setsid()
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        os.closerange(3, 1024)
        signal.set_wakeup_fd(-1)
        for caught in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(caught, signal.SIG_DFL)
        hide(False)
        make_victim()
        os.umask(0o022)
        named = request["cwd"]
        os.chdir(named)
        named = request["argv"][0]
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606
    except OSError as error:
        os.write(2, f"{named}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    finally:
        os._exit(126)


def make_victim() -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(descriptor, BECOMES_VICTIM)
        os.close(descriptor)


def hide(is_hidden: bool) -> None:
    """Keep the work from this process's memory and pipes, which have the same owner.

    What is hidden cannot write its own files in /proc either, so a child shows itself again.
    """
    ctypes.CDLL(None).prctl(SET_DUMPABLE, 0 if is_hidden else 1, 0, 0, 0)


def tell(message: dict[str, Any]) -> None:
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(1, line) :]


class Agent:
    def __init__(self, relay: Relay | None = None) -> None:
        self.requests = b""
        self.relay = relay
        self.wake, wakened_by = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wakened_by, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        # Process 1 gets no signal from within that it has no handler for, SIGKILL included.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.set_wakeup_fd(wakened_by, warn_on_full_buffer=False)

    def serve(self) -> NoReturn:
        tell({"ready": True})
        while True:
            request = self.next_request()
            if "run" in request:
                self.run(request)

    def next_request(self) -> dict[str, Any]:
        while b"\n" not in self.requests:
            self.receive()
        line, _, self.requests = self.requests.partition(b"\n")
        request: dict[str, Any] = json.loads(line)
        return request

    def receive(self) -> None:
        data = os.read(0, 16 * CHUNK)
        if not data:
            sys.exit(0)  # the end of process 1 is the end of all
        self.requests += data

    def run(self, request: dict[str, Any]) -> None:
        lay_out(request.pop("secrets", {}))
        call = Call(request)
        while call.is_going_on():
            self.step(call)
        end_everything(call)
        take_back()
        if self.relay:
            self.relay.finish()
        self.drain(call)
        tell(report(call))

    def step(self, call: Call) -> None:
        """Wait for whatever comes first: output, room for input, a death, a word, the deadline."""
        if not call.input:
            call.close_input()
        reading = [0, self.wake, *call.streams]
        writing = [call.feed] if call.feed >= 0 else []
        if self.relay:
            reading += self.relay.reading()
            writing += self.relay.writing()
        patience = call.deadline - time.monotonic()
        if patience <= 0:
            call.ended_by = "timeout"
            return
        readable, writable, _ = select.select(reading, writing, [], patience)
        for descriptor in readable:
            if descriptor == 0:
                self.receive()
                self.obey(call)
            elif descriptor == self.wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.wake, CHUNK)
                call.reap(os.WNOHANG)
            elif descriptor in call.streams and not call.read(descriptor):
                os.close(descriptor)
                del call.streams[descriptor]
        if call.feed in writable:
            call.write()
        if self.relay:
            self.relay.step([*readable, *writable])

    def obey(self, call: Call) -> None:
        while b"\n" in self.requests:
            line, _, self.requests = self.requests.partition(b"\n")
            if json.loads(line).get("cancel") == call.id:
                call.ended_by = "cancelled"

    def drain(self, call: Call) -> None:
        """Everybody who could write is dead: read to the end."""
        call.close_input()
        for descriptor in list(call.streams):
            while not call.is_truncated and call.read(descriptor):
                pass
            os.close(descriptor)


def lay_out(secrets: dict[str, str]) -> None:
    """Write the files of one call. What cannot be written ends this process, and the sandbox."""
    for name, content in secrets.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(f"{SECRETS}/{name}", flags, 0o400)
        left = memoryview(base64.b64decode(content))
        while left:
            left = left[os.write(descriptor, left) :]
        os.close(descriptor)


def take_back() -> None:
    """Empty the folder of secrets, whatever the work has made in it; everybody else is dead.

    Deep trees are flattened on the way, so that no path grows too long.
    """
    try:
        os.chmod(SECRETS, 0o700)  # noqa: PTH101 - starts without pathlib
        top = os.open(SECRETS, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return  # a sandbox without such a folder gets no secrets either
    try:
        while names := os.listdir(top):  # noqa: PTH208 - a descriptor
            for name in names:
                if is_folder(name, top):
                    flatten(name, top)
                else:
                    os.unlink(name, dir_fd=top)
    finally:
        os.close(top)


def flatten(name: str, top: int) -> None:
    """Move what a folder holds up beside it, and remove it."""
    os.chmod(name, 0o700, dir_fd=top)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for each in os.listdir(folder):  # noqa: PTH208 - a descriptor
            if is_folder(each, folder):
                os.chmod(each, 0o700, dir_fd=folder)
            os.rename(each, os.urandom(16).hex(), src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def end_everything(call: Call) -> None:
    """Kill all but this process until nothing is left to wait for."""
    if os.getpid() != 1:
        sys.exit("not process 1: this would end strangers")
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        if not call.reap(0):
            return


def report(call: Call) -> dict[str, Any]:
    status = call.status or 0
    signalled = os.WIFSIGNALED(status)
    return {
        "done": call.id,
        "ended_by": call.ended_by or ("signal" if signalled else "exit"),
        "exit_code": None if signalled else os.WEXITSTATUS(status),
        "signal": os.WTERMSIG(status) if signalled else None,
        "is_truncated": call.is_truncated,
        "wall_seconds": time.monotonic() - call.started,
        "cpu_seconds": call.cpu_seconds,
        "max_rss_bytes": call.max_rss_bytes,
    }


def relay_of(words: list[str]) -> Relay | None:
    """Return the way out, if there is one; this program's folder is not searched by itself."""
    if not words:
        return None
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    found: Relay = importlib.import_module("relay").Relay(words[0])
    return found


if __name__ == "__main__":
    if os.getpid() != 1:
        sys.exit("This program is process 1 of a sandbox and runs nowhere else.")
    hide(True)
    Agent(relay_of(sys.argv[1:])).serve()
