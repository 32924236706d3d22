"""Where one run is: its state and history as they will be, and what is not written of them yet."""

from collections.abc import Callable
from uuid import UUID

from agents.contracts import Message, RunState
from agents.engine.loop import Command, Event, advance
from agents.engine.state import EngineState
from agents.execution.context import RunContext
from agents.execution.entries import Draft
from agents.execution.turns import Turn
from agents.journal.journal import Journal
from agents.journal.records import Committed, Entry
from plugins.contracts import WaitKind


class Progress:
    """Adopts the engine's decisions and writes them, each with the next commit."""

    def __init__(
        self,
        context: RunContext,
        journal: Journal,
        on_committed: Callable[[Entry, Committed], None],
    ) -> None:
        self._context = context
        self._journal = journal
        self._on_committed = on_committed
        self.state = context.state or EngineState(message_count=context.prefix_length)
        self.history: list[Message] = list(context.history)
        self._unwritten: list[tuple[int, Message]] = []

    @property
    def is_ahead(self) -> bool:
        """Whether something was decided that is not written."""
        return bool(self._unwritten)

    def advance(self, event: Event) -> Command:
        """Adopt what the engine decides; its messages, redacted already, are written with the next
        commit."""
        step = advance(self.state, event, self._context.limits)
        position = step.state.message_count - len(step.messages)
        for message in step.messages:
            self.history.append(message)
            self._unwritten.append((position, message))
            position += 1
        self.state = step.state
        return step.command

    def draft(self) -> Draft:
        """Begin an entry with what has not been written."""
        draft = Draft(self._context, self.state)
        for position, message in self._unwritten:
            draft.message(position, message)
        self._unwritten.clear()
        return draft

    async def commit(self, entry: Entry) -> None:
        """Write an entry; being cancelled waits for the write, so its outcome is never unknown."""
        committed = await self._journal.commit(entry)
        self._context.head_sequence = committed.head_sequence
        self._on_committed(entry, committed)

    async def commit_turns(self, entry: Entry, turns: tuple[Turn, ...]) -> None:
        """Write an entry and end the turns it is about; a turn ends with the write, or is void."""
        try:
            await self.commit(entry)
            for turn in turns:
                await turn.end()
        finally:
            for turn in turns:
                turn.drop()

    async def release(
        self,
        target: RunState,
        *,
        wait_kind: WaitKind = WaitKind.NONE,
        wake_in_seconds: float | None = None,
        reason: str = "",
        error_code: str = "",
        output: str | None = None,
        draft: Draft | None = None,
        awaits: tuple[UUID, ...] = (),
    ) -> None:
        """Let go of the run in another state, with all that is unwritten."""
        if draft is None:
            is_ahead = self.is_ahead
            draft = self.draft()
            if is_ahead:
                # What is written without a checkpoint would be decided, and written, once more.
                draft.checkpoint(self.state)
        await self.commit(
            draft.entry(
                target=target,
                wait_kind=wait_kind,
                wake_in_seconds=wake_in_seconds,
                reason=reason,
                error_code=error_code,
                output=output,
                awaits=awaits,
            )
        )
