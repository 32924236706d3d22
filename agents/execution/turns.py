"""Turns: calls that change the files of a tree of runs follow one another, and each is kept.

A turn is taken when a call is admitted, and ends when the commit that records the outcome has
happened; that commit names the snapshot of what the call left. So at any moment at most one call's
changes are not committed, and after a crash they can be taken back without touching anybody
else's. Turns of one process are given in order; between processes a file lock decides.

Calls that only read need the folder to be what it should be, once for each claim of a run, and then
take no turns. All work on the disk is done by threads of our own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from agents.execution.context import RunContext
from agents.execution.folders import Begun, Folder, Folders, Left
from core.clock import monotonic
from plugins.contracts import FileUse
from plugins.errors import ToolError
from sandbox.errors import SandboxBusyError, SandboxRefusedError, SandboxUnavailableError

logger = logging.getLogger(__name__)
T = TypeVar("T")
PATIENCE_SECONDS = 900.0  # longer than a call may take
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1
_THREADS = 4

# Reads the digest that the database has for the files of a root run; empty when it has none.
HeadOf = Callable[[UUID], Awaitable[str]]


class SharedFiles(Protocol):
    """What may move a folder's files, such as the disk that a sandbox mounts over them."""

    def files(self, workspace: Path) -> AbstractAsyncContextManager[None]:
        """Keep the files where they are while the block touches them.

        Raises:
            SandboxUnavailableError and its like: they cannot be reached.
        """
        ...

    async def renew(self, workspace: Path) -> None:
        """The files were put there from outside; the next sandbox takes them over."""
        ...


class Turns:
    """Shared by all drivers of a process; used on the event loop's thread only."""

    def __init__(self, *, folders: Folders, head_of: HeadOf, files: SharedFiles) -> None:
        self._folders = folders
        self._files = files
        self._head_of = head_of
        self._lines: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="workspaces")

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def of(self, context: RunContext, use: FileUse, *, keeps: bool = False) -> "Turn | None":
        """Return a turn for a call, to be entered; None when it needs none.

        `keeps`: the call may not be repeated, so that what it has written stays when it is cut off.
        """
        if use is FileUse.NONE or (use is FileUse.READS and context.files_are_ready):
            return None
        return Turn(self, context, use, keeps)

    async def first(self, context: RunContext) -> "Turn | None":
        """Keep what is in the folder before the run's first call that needs it.

        None when that is known already, or somebody is at work there, who has kept it then. The
        caller commits and ends the turn.
        """
        turn = Turn(self, context, FileUse.CHANGES, keeps=False)
        if not await turn.try_begin():
            return None
        return turn

    def line(self, root_id: UUID) -> asyncio.Lock:
        found = self._lines.get(root_id)
        if found is None:
            found = self._lines[root_id] = asyncio.Lock()
        return found

    def folder(self, context: RunContext) -> Folder:
        return self._folders.folder(context.workspace_id, context.root_id)

    async def head_of(self, root_id: UUID) -> str:
        return await self._head_of(root_id)

    async def with_files(self, folder: Folder, job: Callable[[], T]) -> T:
        """Do `job` in a thread while the folder's files stay where they are.

        Raises:
            ToolError: They cannot be reached; nothing was done.
        """
        try:
            async with self._files.files(folder.path):
                return await self.whole(job)
        except (SandboxBusyError, SandboxRefusedError, SandboxUnavailableError) as error:
            raise ToolError(
                f"The files of this run cannot be reached: {error.message}", remedy=error.remedy
            ) from error

    async def renew(self, folder: Folder) -> None:
        await self._files.renew(folder.path)

    async def whole(self, job: Callable[[], T]) -> T:
        """Do `job` in a thread; being cancelled waits for its end, so that nothing is let go of
        while a thread is still at work on it."""
        loop = asyncio.get_running_loop()
        doing = loop.run_in_executor(self._pool, job)
        was_cancelled = False
        while not doing.done():
            try:
                await asyncio.wait({doing})
            except asyncio.CancelledError:
                was_cancelled = True
        if was_cancelled:
            if (error := doing.exception()) is not None:
                logger.warning("workspace_job_failed", exc_info=error)
            raise asyncio.CancelledError
        return doing.result()


class Turn:
    """One call's turn: an async context manager around the call, then `end` after the commit.

    When the block raises, the turn is over and what the call wrote is not certain; whoever comes
    next sees to it.
    """

    def __init__(self, turns: Turns, context: RunContext, use: FileUse, keeps: bool) -> None:
        self._turns = turns
        self._context = context
        self._use = use
        self._keeps = keeps
        self._line = turns.line(context.root_id)
        self._folder = turns.folder(context)
        self._is_held = False
        self.begun: Begun | None = None
        self.left: Left | None = None

    @property
    def digest(self) -> str:
        """What the files are now, once the turn has begun."""
        return self.left.digest if self.left else self.begun.digest if self.begun else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be told about the files, for people."""
        found = (self.begun.note if self.begun else "", self.left.note if self.left else "")
        return tuple(note for note in found if note)

    @property
    def is_open(self) -> bool:
        return self._is_held

    async def __aenter__(self) -> "Turn":
        if self._use is FileUse.READS and await self._turns.whole(self._folder.is_in_use):
            return self  # who is at work there has prepared the folder
        await self._take()
        await self._begin()
        if self._use is FileUse.READS:
            self.drop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.drop()
        elif self._is_held:
            try:
                self.left = await self._turns.with_files(self._folder, self._folder.leave)
            except BaseException:
                self.drop()
                raise

    async def try_begin(self) -> bool:
        """Begin when nobody else is at work there, and say so."""
        if self._line.locked() or not await self._turns.whole(self._folder.lock):
            return False
        self._is_held = True
        # Taken without waiting: nobody has come in between on this thread.
        if self._line.locked():
            self._folder.unlock()
            self._is_held = False
            return False
        await self._line.acquire()
        await self._begin()
        return True

    async def end(self) -> None:
        """The commit has happened; the next one may begin."""
        if self._is_held:
            try:
                await self._turns.whole(partial(self._folder.end, self.digest))
            finally:
                self.drop()

    def drop(self) -> None:
        """Let go without saying that anything is certain. May be called twice."""
        if self._is_held:
            self._is_held = False
            self._folder.unlock()
            self._line.release()

    async def _take(self) -> None:
        give_up_at = monotonic() + PATIENCE_SECONDS
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._line.acquire()
        except TimeoutError:
            raise _taken() from None
        try:
            pause = _FIRST_PAUSE
            while not await self._turns.whole(self._folder.lock):
                if monotonic() >= give_up_at:
                    raise _taken()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        except BaseException:
            self._folder.unlock()
            self._line.release()
            raise
        self._is_held = True

    async def _begin(self) -> None:
        try:
            head = await self._turns.head_of(self._context.root_id)
            self.begun = await self._turns.with_files(
                self._folder,
                partial(
                    self._folder.begin,
                    head,
                    changes=self._use is FileUse.CHANGES,
                    keeps=self._keeps,
                ),
            )
            if self.begun.note:
                await self._turns.renew(self._folder)
        except BaseException:
            self.drop()
            raise
        self._context.files_are_ready = True


def _taken() -> ToolError:
    return ToolError(
        f"Another call has been changing files of this run for {PATIENCE_SECONDS:g} seconds; "
        "nothing was done.",
        remedy="Try again later.",
    )
