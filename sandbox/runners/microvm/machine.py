"""Firecracker's API on its Unix socket: describing a machine and starting it.

Requests as in Firecracker's `firecracker.yaml` (1.10 to 1.16). Whatever is not answered with 204
ends the attempt.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from sandbox.errors import SandboxUnavailableError

AGENT_PORT = 5000  # where the session agent listens inside
_GUEST_ID = 3  # the lowest that is free; every machine has a socket of its own
_CALL_SECONDS = 10.0
_RETRY_SECONDS = 0.05
_LINE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a machine is made of; the files are named as Firecracker's process sees them."""

    processors: int
    memory_mib: int
    kernel: str
    root_disk: str
    workspace_disk: str
    link: str
    words: str = ""  # for the kernel's command line, read by the first process


def requests(machine: Machine) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the paths and bodies that describe the machine and start it, in order."""
    return [
        (
            "/machine-config",
            {"vcpu_count": machine.processors, "mem_size_mib": machine.memory_mib, "smt": False},
        ),
        (
            "/boot-source",
            {
                "kernel_image_path": machine.kernel,
                # No console and no devices to look for; the end of process 1 ends the machine.
                "boot_args": "reboot=k panic=-1 pci=off i8042.noaux i8042.nokbd quiet "
                f"random.trust_cpu=on init=/sbin/agentry-init {machine.words}".strip(),
            },
        ),
        ("/drives/root", _drive("root", machine.root_disk, is_root=True)),
        ("/drives/workspace", _drive("workspace", machine.workspace_disk, is_root=False)),
        ("/vsock", {"guest_cid": _GUEST_ID, "uds_path": machine.link}),
        ("/actions", {"action_type": "InstanceStart"}),
    ]


def _drive(name: str, path: str, *, is_root: bool) -> Mapping[str, Any]:
    return {
        "drive_id": name,
        "path_on_host": path,
        "is_root_device": is_root,
        "is_read_only": is_root,
    }


async def start(socket: Path, machine: Machine, *, seconds: float) -> None:
    """Describe and start the machine.

    Raises:
        SandboxUnavailableError: Firecracker does not listen in time, or refuses something.
    """
    transport = httpx2.AsyncHTTPTransport(uds=str(socket), trust_env=False)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost", timeout=_CALL_SECONDS, trust_env=False
    ) as client:
        await _until_it_listens(socket, seconds)
        for path, body in requests(machine):
            await _put(client, path, body)


async def _until_it_listens(socket: Path, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            # Another process makes it, so there is nothing to await.
            while not await _listens(socket):  # noqa: ASYNC110
                await asyncio.sleep(_RETRY_SECONDS)
    except TimeoutError:
        raise _failed("it does not listen at its socket") from None


async def _listens(socket: Path) -> bool:
    """Knock: a socket has its name a moment before anyone listens behind it."""
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    return True


async def _put(client: httpx2.AsyncClient, path: str, body: Mapping[str, Any]) -> None:
    try:
        answer = await client.put(path, json=body)
    except httpx2.HTTPError as error:
        raise _failed(f"no answer to {path} ({type(error).__name__})") from error
    if answer.status_code != 204:
        raise _failed(f"{path} was answered with {answer.status_code}: {_words(answer)}")


def _words(answer: httpx2.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return "no reason was given"
    return str(told.get("fault_message", told) if isinstance(told, dict) else told)[:300]


async def connect(
    link: Path, *, seconds: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to the session agent inside, when it listens.

    Raises:
        SandboxUnavailableError: It did not within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await _knock(link)
                if found is not None:
                    return found
                await asyncio.sleep(_RETRY_SECONDS)
    except TimeoutError:
        raise _failed("the session agent inside does not listen") from None


async def _knock(link: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Ask for the agent's port; Firecracker hangs up while nobody listens there."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(link), limit=_LINE_BYTES)
    except OSError:
        return None
    try:
        writer.write(f"CONNECT {AGENT_PORT}\n".encode())
        answer = await reader.readline()
    except (OSError, ValueError):
        answer = b""
    except BaseException:
        writer.close()
        raise
    if answer.startswith(b"OK "):
        return reader, writer
    writer.close()
    return None


def _failed(reason: str) -> SandboxUnavailableError:
    return SandboxUnavailableError(
        f"Firecracker did not start a machine: {reason}.",
        remedy="See `manage.py sandbox doctor` and the sandbox worker's log.",
    )
