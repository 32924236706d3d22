"""Shadows: policies that are asked beside what decides, and decide nothing.

They cost what two threads and a bounded line cost: a call is never held up by one. A shadow that
is too slow for the calls that come is asked about fewer of them, and these are counted. What a
worker had not written when it died is lost; the counts are for judging a draft, not for proving.
"""

import asyncio
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from agents.execution.database import DatabaseThread
from core.clock import monotonic
from core.pausepoints import reach
from governance.policy.contracts import PolicyDecision, PolicyInput, abnormal
from governance.selectors.policies import PolicyInForce, policy_text
from governance.services import policies
from governance.services.shadows import Difference, shadow_record

logger = logging.getLogger(__name__)
MAX_WAITING = 64
MAX_WAIT_SECONDS = 2.0
MAX_TEXTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A call that was decided about, for a shadow to say what it would have said."""

    question: PolicyInput
    decided: PolicyDecision
    call_id: UUID


@dataclass(slots=True)
class _Tally:
    """What is to be written of one shadow."""

    asked: int = 0
    skipped: int = 0
    differences: list[Difference] = field(default_factory=list)


class Shadows:
    """Used on the event loop's thread only."""

    def __init__(
        self,
        *,
        database: DatabaseThread,
        max_waiting: int = MAX_WAITING,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> None:
        self._database = database
        self._max_waiting = max_waiting
        self._max_wait_seconds = max_wait_seconds
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="shadow")
        self._asking: set[asyncio.Task[None]] = set()
        self._tallies: defaultdict[UUID, _Tally] = defaultdict(_Tally)
        self._texts: dict[UUID, tuple[str, str]] = {}
        self._writing: asyncio.Task[None] | None = None

    def offer(self, shadow: PolicyInForce, watched: Watched) -> None:
        """Ask a shadow when there is time for it. Returns at once."""
        if len(self._asking) >= self._max_waiting:
            self._tallies[shadow.id].skipped += 1
            self._write_soon()
            return
        task = asyncio.create_task(self._ask(shadow, watched))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def close(self) -> None:
        for task in (*self._asking, *((self._writing,) if self._writing else ())):
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, shadow: PolicyInForce, watched: Watched) -> None:
        late_at = monotonic() + self._max_wait_seconds
        loop = asyncio.get_running_loop()
        try:
            text = await self._text(shadow)
            answer = await loop.run_in_executor(
                self._pool, _answer, text, shadow.digest, watched.question, late_at
            )
        except Exception:  # nobody waits for it, and nothing may depend on it
            logger.exception("shadow_failed", extra={"version": shadow.number})
            answer = None
        tally = self._tallies[shadow.id]
        if answer is None:
            tally.skipped += 1
        else:
            tally.asked += 1
            if _differs(watched.decided, answer):
                tally.differences.append(_difference(watched, answer))
        self._write_soon()

    async def _text(self, shadow: PolicyInForce) -> tuple[str, str]:
        """Return the text of a version, which never changes."""
        if (found := self._texts.get(shadow.id)) is None:
            found = await self._database.run(partial(policy_text, shadow.id))
            if len(self._texts) >= MAX_TEXTS:
                self._texts.clear()
            self._texts[shadow.id] = found
        return found

    def _write_soon(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Write what has come together; while it is written, more does."""
        while self._tallies:
            tallies, self._tallies = self._tallies, defaultdict(_Tally)
            for version_id, tally in tallies.items():
                work = partial(
                    shadow_record,
                    version_id,
                    asked=tally.asked,
                    skipped=tally.skipped,
                    differences=tally.differences,
                )
                try:
                    await self._database.run(work)
                except Exception:  # as above; the next write may find the database again
                    logger.exception("shadow_not_written")


def _answer(
    text: tuple[str, str], digest: str, question: PolicyInput, late_at: float
) -> PolicyDecision | None:
    """Say what the shadow says; None: its turn came too late."""
    if monotonic() > late_at:
        return None
    reach("shadow.before_answer")
    try:
        return policies.policy_engine(*text).decide(question)
    except Exception as error:  # in force it would deny, and this is what is to be known
        logger.exception("shadow_failed")
        return abnormal(f"it failed ({type(error).__name__})", version=digest)


def _differs(decided: PolicyDecision, answer: PolicyDecision) -> bool:
    return _terms(decided) != _terms(answer)


def _terms(decision: PolicyDecision) -> tuple[object, ...]:
    """What comes of a decision: for a question, also who must say yes."""
    if decision.effect != "ask":
        return (decision.effect,)
    return (decision.effect, set(decision.approvers), decision.quorum, decision.allow_self)


def _difference(watched: Watched, answer: PolicyDecision) -> Difference:
    return Difference(
        call_id=watched.call_id,
        run_id=UUID(watched.question.run_id),
        tool=watched.question.tool.name,
        decided=watched.decided,
        shadow=answer,
    )
