"""The Docker engine of this host, asked through its SDK; what it answers is given a type here.

Everything here waits, so it is called in threads. A client of the SDK belongs to one thread at a
time; clients are lent out and kept for the next call.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound

_SECONDS = 60
_REMOVAL_SECONDS = 30.0
_PAUSE_SECONDS = 0.02
_SCHEME = "unix://"


class EngineError(Exception):
    """The engine is not there, or refused; the sentence is its own."""


class NoSuchThingError(EngineError):
    """There is no container or image of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the daemon says of itself."""

    version: str
    runtimes: frozenset[str]
    has_memory_limit: bool
    has_swap_limit: bool
    has_pids_limit: bool
    has_cpu_limit: bool
    maps_users: bool
    is_at_home: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    id: str
    volumes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`process` is 0 when the container does not run; `id` is also the name of its group."""

    id: str
    process: int
    is_out_of_memory: bool
    exit_code: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What there is of one of ours, whoever owns it."""

    name: str
    labels: Mapping[str, str]


class Engine:
    """One daemon, by the address of its socket (`unix:///…`). Connects when first asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = Lock()
        self._idle: list[docker.APIClient] = []
        self._version: str | None = None

    @property
    def is_there(self) -> bool:
        """Say whether there is a socket at all."""
        return self.url.startswith(_SCHEME) and Path(self.url.removeprefix(_SCHEME)).is_socket()

    @contextlib.contextmanager
    def _client(self) -> Iterator[docker.APIClient]:
        """Lend a client; one that failed is thrown away."""
        with self._lock:
            client = self._idle.pop() if self._idle else None
        with _told():
            client = client or self._new_client()
            yield client
        with self._lock:
            self._idle.append(client)

    def _new_client(self) -> docker.APIClient:
        if not self.url.startswith(_SCHEME):
            raise EngineError(f"{self.url} is no socket of this host (unix:///…)")
        with socket.socket(socket.AF_UNIX) as probe:  # the SDK leaves a failed one open
            probe.connect(self.url.removeprefix(_SCHEME))
        client = docker.APIClient(self.url, version=self._version, timeout=_SECONDS)
        self._version = client.api_version
        return client

    def close(self) -> None:
        with self._lock:
            clients, self._idle = self._idle, []
        for client in clients:
            client.close()

    def describe(self) -> Description:
        with self._client() as client:
            told = client.info()
        options = " ".join(told.get("SecurityOptions") or ())
        return Description(
            version=str(told.get("ServerVersion", "")),
            runtimes=frozenset(told.get("Runtimes") or ()),
            has_memory_limit=bool(told.get("MemoryLimit")),
            has_swap_limit=bool(told.get("SwapLimit")),
            has_pids_limit=bool(told.get("PidsLimit")),
            has_cpu_limit=bool(told.get("CpuCfsQuota", told.get("CPUCfsQuota"))),
            maps_users="name=userns" in options or "name=rootless" in options,
            is_at_home=told.get("Name") == os.uname().nodename,
        )

    def image(self, name: str) -> ImageFacts:
        """Raises NoSuchThingError."""
        with self._client() as client:
            told = client.inspect_image(name)
        config = told.get("Config") or {}
        return ImageFacts(id=str(told["Id"]), volumes=tuple(config.get("Volumes") or ()))

    def load_image(self, archive: Path) -> None:
        """Take in an archive as `docker save` writes it."""
        with self._client() as client, archive.open("rb") as file:
            for word in client.load_image(file):
                if "error" in word:
                    raise EngineError(str(word["error"]))

    def create(self, name: str, *, host: Mapping[str, Any], container: Mapping[str, Any]) -> None:
        with self._client() as client:
            made = client.create_host_config(**host["known"])
            made.update(host["other"])
            client.create_container_from_config({**container, "HostConfig": made}, name=name)

    def attach(self, name: str) -> socket.socket:
        """Return a connection to the standard streams; when it closes, the input of the container
        ends."""
        with _told():
            client = self._new_client()
            try:
                wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = client.attach_socket(name, params=wanted)
                with contextlib.closing(stream._response):  # the SDK keeps it open there
                    return socket.socket(fileno=os.dup(stream.fileno()))
            finally:
                client.close()

    def start(self, name: str) -> None:
        with self._client() as client:
            client.start(name)

    def state(self, name: str) -> State:
        """Raises NoSuchThingError."""
        with self._client() as client:
            facts = client.inspect_container(name)
        told = facts["State"]
        return State(
            id=str(facts["Id"]),
            process=int(told.get("Pid") or 0),
            is_out_of_memory=bool(told.get("OOMKilled")),
            exit_code=int(told.get("ExitCode") or 0),
            problem=str(told.get("Error") or ""),
        )

    def kill(self, name: str) -> None:
        """End the container's processes; one that does not run is no error."""
        with contextlib.suppress(NoSuchThingError), self._client() as client:
            try:
                client.kill(name)
            except APIError as error:
                if error.status_code != 409:
                    raise

    def remove(self, name: str) -> None:
        """End the container and take it away; returns when it is gone.

        Raises:
            EngineError: It is still there after some time.
        """
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while True:
            try:
                with self._client() as client:
                    client.remove_container(name, force=True, v=True)
                return
            except NoSuchThingError:
                return
            except EngineError:  # somebody else removes it, or a mount is still busy
                if time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE_SECONDS)

    def containers(self, label: str) -> list[Container]:
        """Return all containers with a label (`name=value`), running or not."""
        with self._client() as client:
            told = client.containers(all=True, filters={"label": label})
        return [
            Container(name=entry["Names"][0].lstrip("/"), labels=entry.get("Labels") or {})
            for entry in told
            if entry.get("Names")
        ]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn the SDK's errors, and those of the connection below it, into ours."""
    try:
        yield
    except NotFound as error:
        raise NoSuchThingError(str(error.explanation or error)) from error
    except APIError as error:
        raise EngineError(str(error.explanation or error)) from error
    except OSError as error:
        raise EngineError(error.strerror or str(error)) from error
    except DockerException as error:
        raise EngineError(str(error)) from error
