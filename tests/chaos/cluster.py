"""Real processes for chaos: servers, workers, a counting tool server, and a hand inside."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.services import free_port
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
# Short enough to see take-overs quickly, long enough not to lose a lease to a busy machine.
LEASE_SECONDS = 2.0
POLL_SECONDS = 0.2


class ChaosError(AssertionError):
    """A process of ours failed; the sentence has its words."""


def is_alive(pid: int) -> bool:
    return state_of(pid) not in {"", "Z"}


def state_of(pid: int) -> str:
    """Return the letter the kernel has for what a process is doing; nothing when it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[0]


class Inside:
    """A process of ours with the project in it: calls functions, or forks workers."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.inside"],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._is_ready = False

    def ask(self, request: Mapping[str, Any]) -> Any:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        if not self._is_ready:
            self._read()
            self._is_ready = True
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise ChaosError(answer["error"])
        return answer["result"]

    def call(self, function: str, **arguments: Any) -> Any:
        """Call `module:function` of the chaos tests in there."""
        return self.ask({"call": f"tests.chaos.{function}", "with": arguments})

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChaosError(f"the inside process ended: {self._log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


class CountingServer:
    """The counting tool server as a process of its own, with the record it keeps."""

    def __init__(self, record: Path) -> None:
        self.record = record
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.counting_server", str(record)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def probe(self, *, is_on: bool) -> None:
        """Let the target say what it knows about irreversible effects, or not."""
        body = json.dumps({"probe": is_on}).encode()
        with urlopen(Request(f"{self.url}/switch", data=body), timeout=10) as answer:
            assert answer.status == 200

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker process, known by its id."""

    pid: int
    log: Path
    order: str = ""

    @property
    def is_alive(self) -> bool:
        return is_alive(self.pid)

    @property
    def is_stopped(self) -> bool:
        return state_of(self.pid) == "T"

    def send(self, number: int) -> None:
        if self.is_alive:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        wait_for(lambda: not self.is_alive, lambda: f"worker {self.pid} did not die")


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A database with the scenario in it, and the workers on it."""

    folder: Path
    environment: dict[str, str]
    server: CountingServer
    desk: Inside
    nursery: Inside
    workers: list[Worker] = field(default_factory=list)
    _born: int = 0

    @classmethod
    def open(cls, folder: Path, **services: str) -> "Cluster":
        """Build the scenario; `services` are variables that say on which servers."""
        server = CountingServer(folder / "effects.jsonl")
        environment = clean_environment() | {
            **services,
            "AGENTRY_DATA_DIR": str(folder / "data"),
            "AGENTRY_FETCH_ALLOW": f"127.0.0.1:{server.port}",
            "AGENTRY_LEASE_SECONDS": str(LEASE_SECONDS),
            "AGENTRY_POLL_SECONDS": str(POLL_SECONDS),
            "AGENTRY_DATABASE_POOL": "0",  # its processes are forked, and a pool's threads are not
            "AGENTRY_DATABASE_IDLE_SECONDS": "5",
            "AGENTRY_LOG_LEVEL": "WARNING",
        }
        nursery = Inside(environment, folder / "nursery.log")
        desk = Inside(environment, folder / "desk.log")
        desk.call("scenario:migrate")
        desk.call("scenario:build", tools_url=server.url)
        return cls(
            folder=folder, environment=environment, server=server, desk=desk, nursery=nursery
        )

    @property
    def is_embedded(self) -> bool:
        return self.environment.get("AGENTRY_ENGINE") == "embedded"

    def begin(self, order: str = "", **environment: str) -> Worker:
        """Start a worker; `order` is what it does to itself (`<point>:kill:<n>` or `stop`)."""
        name = f"chaos-{self._born}"
        return self._fork(["worker", "--name", name, "--loglevel", "WARNING"], order, environment)

    def begin_site(self, order: str = "", **environment: str) -> Worker:
        """Start the whole product as one process, on the cluster's SQLite."""
        return self._fork(["site", str(free_port())], order, environment)

    def _fork(self, program: list[str], order: str, environment: Mapping[str, str]) -> Worker:
        self._born += 1
        log = self.folder / f"worker-{self._born}.log"
        env = {"AGENTRY_PAUSE_AT": order, **environment}
        pid = self.nursery.ask({"fork": program, "env": env, "log": str(log)})
        worker = Worker(pid=pid, log=log, order=order)
        self.workers.append(worker)
        return worker

    def ready(self, worker: Worker) -> Worker:
        """Wait until the worker claims runs."""
        wait_for(
            lambda: worker.pid in self.desk.call("scenario:workers") or not worker.is_alive,
            lambda: f"the worker did not begin: {self.last_words()}",
        )
        return worker

    def start(self, agent: str, count: int, text: str) -> list[str]:
        ids: list[str] = self.desk.call("scenario:start", agent=agent, count=count, text=text)
        return ids

    def settle(self, roots: list[str], *, tend: Callable[[], None] = lambda: None) -> Any:
        """Wait until the trees move no further by themselves, calling `tend` on the way."""
        seen: dict[str, Any] = {}

        def is_settled() -> bool:
            tend()
            seen.update(self.desk.call("verdict:settled", roots=roots))
            return bool(seen["is_settled"])

        wait_for(is_settled, lambda: f"{seen} {self.last_words()}")
        return seen

    def check(self, roots: list[str]) -> None:
        """Hold the finished trees against every promise."""
        found = self.desk.call("verdict:complaints", roots=roots, record=str(self.server.record))
        assert found == [], "\n".join([*found, self.last_words()])

    def check_money(self) -> None:
        """Nothing stays set aside, and what was spent is what runs cost, to the last digit."""
        seen: dict[str, Any] = {}

        def is_given_back() -> bool:
            seen.update(self.desk.call("verdict:money"))
            return Decimal(seen["reserved"]) == 0

        wait_for(is_given_back, lambda: f"{seen} {self.last_words()}")
        assert seen["complaints"] == [], seen["complaints"]

    def last_words(self) -> str:
        texts = [
            worker.log.read_text(errors="replace").partition("exchange=celery")[2][-1500:]
            for worker in self.workers[-3:]
            if worker.log.exists()
        ]
        return "\n".join(texts)

    def clear(self) -> None:
        """End all workers at once."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()

    def close(self) -> None:
        self.clear()
        for part in (self.desk, self.nursery):
            part.stop()
        self.server.stop()


def clean_environment() -> dict[str, str]:
    """The caller's environment without anything that would steer the project."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AGENTRY_")
        and name not in {"DATABASE_URL", "REDIS_URL", "TEST_DATABASE"}
    }
