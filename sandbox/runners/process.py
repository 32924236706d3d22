"""Session agents that are processes of this host, started by us and spoken to on pipes."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence

from sandbox.cgroups import Group
from sandbox.errors import SandboxUnavailableError
from sandbox.runners.link import LINE_BYTES, AgentLink, LinkLostError
from sandbox.runners.session import FAREWELL_SECONDS

_START_SECONDS = 20.0
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
_LAST_WORDS_BYTES = 2000


class ProcessCarrier:
    """See `sandbox.runners.session.Carrier`. The group is all that runs in the sandbox."""

    def __init__(self, process: asyncio.subprocess.Process, group: Group) -> None:
        self._process = process
        self._group = group

    async def farewell(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.to_thread(self._group.kill)

    async def ran_out_of_memory(self, *, deaths: int) -> bool:
        return self._group.out_of_memory() > deaths


async def started(
    words: Sequence[str],
    *,
    passed: Sequence[int],
    group: Group,
    refused: Callable[[str], SandboxUnavailableError],
) -> tuple[ProcessCarrier, AgentLink]:
    """Start an agent and wait until it listens; `refused` makes an error of its last words.

    Raises:
        SandboxUnavailableError: It did not listen.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=passed,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        cwd="/",
        limit=LINE_BYTES,
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipes")
    link = AgentLink(process.stdout, process.stdin)
    async with ended_on_failure(process):
        try:
            await link.ready(seconds=_START_SECONDS)
        except LinkLostError as reason:
            raise refused(await last_words(process) or str(reason)) from reason
    return ProcessCarrier(process, group), link


@contextlib.asynccontextmanager
async def ended_on_failure(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Leave no process behind when the block fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


async def last_words(process: asyncio.subprocess.Process) -> str:
    """End a process that is of no use and return what it said on standard error."""
    if process.stderr is None:
        return ""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    text = (await process.stderr.read(_LAST_WORDS_BYTES)).decode(errors="replace")
    await process.wait()
    return " ".join(text.split())


def in_memory(data: bytes, descriptors: contextlib.ExitStack) -> int:
    """Return a descriptor to read `data` from, closed with the stack."""
    descriptor = os.memfd_create("agentry-sandbox")
    descriptors.callback(os.close, descriptor)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def python() -> str | None:
    """Return the host's interpreter for the agent, below /usr and none of a virtual environment."""
    return next((place for place in _PYTHONS if os.access(place, os.X_OK)), None)


def missing_program(*names: str) -> tuple[str, str]:
    """Return which of the host's programs that agents are started with is missing, and the remedy;
    two empty texts when all are there."""
    if python() is None:
        return (
            "There is no Python below /usr for the session agent.",
            "Install it: apt-get install python3-minimal libpython3-stdlib.",
        )
    absent = [name for name in names if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} is not installed.", "Install util-linux."
    return "", ""
