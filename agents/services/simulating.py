"""The time machine: what a policy would have said of calls that were made.

A call is judged by what was recorded of it: the ledger keeps its arguments and, where a policy was
asked, everything else that policy was told. Where none was, the question is put together from the
run and the tool it was pinned to, and the groups and roles of its person are those of today. What
cannot be asked again is counted with the reason, never guessed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agents.execution.questions import (
    AskedCall,
    builtin_answer,
    question_again,
    question_of,
)
from agents.execution.tooling import bound_tool
from agents.models import Run
from agents.snapshot import snapshot_of
from core import clock
from core.clock import monotonic
from core.errors import InvalidInputError
from governance import access
from governance.contracts import Actor, Perm
from governance.policy.contracts import Effect, PolicyDecision, PolicyEngine, PolicyInput
from governance.selectors.policies import policy_in_force, policy_text
from governance.services import policies
from plugins.contracts import EffectClass, ToolSpec
from plugins.dispatch import BoundTool, arguments_digest
from plugins.selectors import calls_since
from sandbox.contracts import Isolation

if TYPE_CHECKING:
    from governance.models import Workspace
    from plugins.models import ToolCall

MAX_DAYS = 90
MAX_CALLS = 2_000
MAX_EXAMPLES = 20
BATCH_SECONDS = 10.0


class Change(StrEnum):
    """How a policy differs about a call from what is in force."""

    BLOCKED = "newly_blocked"
    ASKED = "newly_asked"
    FREE = "newly_free"
    UNCHANGED = "unchanged"


class Unjudged(StrEnum):
    """Why a recorded call cannot be put to a policy again."""

    NOT_ASKED = "not_asked"  # refused, or ended, before anything decided about it
    WITHHELD = "arguments_withheld"  # they could not be redacted and were not stored
    REDACTED = "arguments_redacted"  # they held a secret, which is not stored
    NO_TOOL = "tool_unknown"  # nobody recorded what the tool was, and it is not installed
    NO_RUN = "run_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What of a decision is told."""

    effect: str
    rule: str
    reason: str
    is_abnormal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call about which the policy differs. `arguments` None: the actor may not see them."""

    change: Change
    call: UUID
    run: UUID
    at: datetime
    tool: str
    agent: str
    user: str
    state: str
    is_reconstructed: bool
    is_unprotected: bool  # it is a program that runs without a sandbox
    before: Answer
    after: Answer
    arguments: dict[str, Any] | None


@dataclass(slots=True, kw_only=True)
class Simulation:
    """What came of one batch. `next_cursor` None: all calls of the time were looked at.

    `reconstructed` of the judged ones are not wholly as they were recorded; see the module.
    """

    since: datetime
    version: str
    compared_with: str
    judged: int = 0
    reconstructed: int = 0
    abnormal: int = 0
    changes: Counter[Change] = field(default_factory=Counter)
    rules: Counter[tuple[Change, str]] = field(default_factory=Counter)
    unjudged: Counter[Unjudged] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    next_cursor: UUID | None = None


def policy_simulate(
    *,
    actor: Actor,
    workspace: "Workspace",
    days: int = 7,
    source: str | None = None,
    language: str = "matrix",
    limit: int = MAX_CALLS,
    cursor: UUID | None = None,
    examples: int = 5,
) -> Simulation:
    """Put recorded calls of the last days, newest first, to a policy and to what is in force.

    Without `source` the draft is tried. Looks at `limit` calls, or as many as there is time for;
    `cursor` goes on from there. Changes nothing.

    Raises:
        InvalidInputError: There is no draft, it is no policy, or a bound is passed.
        PermissionDeniedError: The actor may not see policies or runs.
    """
    access.require(actor, Perm.RUN_VIEW, workspace)
    _check_bounds(days, limit, examples)
    tried = policies.policy_tried(actor, workspace=workspace, source=source, language=language)
    decided, version = _in_force(workspace.pk)
    found = Simulation(
        since=clock.now() - timedelta(days=days), version=tried.digest, compared_with=version
    )
    calls = calls_since(actor, workspace, since=found.since, before=cursor, limit=limit)
    questions = _Questions(calls)
    kept = access.may_see_payload(actor, workspace)
    ends_at = monotonic() + BATCH_SECONDS
    for number, call in enumerate(calls, start=1):
        question = questions.of(call)
        if isinstance(question, Unjudged):
            found.unjudged[question] += 1
        else:
            before, after = decided(question.asked), tried.decide(question.asked)
            _count(found, call, question, before, after, kept=kept, examples=examples)
        if number == limit or monotonic() > ends_at:
            found.next_cursor = call.pk
            break
    return found


def _check_bounds(days: int, limit: int, examples: int) -> None:
    for name, value, most in (
        ("days", days, MAX_DAYS), ("limit", limit, MAX_CALLS), ("examples", examples, MAX_EXAMPLES),
    ):  # fmt: skip
        least = 0 if name == "examples" else 1
        if not least <= value <= most:
            sentence = f"`{name}` is between {least} and {most}."
            raise InvalidInputError(sentence, fields={name: [sentence]})


def _in_force(workspace_id: UUID) -> tuple[Callable[[PolicyInput], PolicyDecision], str]:
    """Return what decides about calls now, and its version."""
    policy = policy_in_force(workspace_id)
    if policy is None:
        return _builtin, builtin_answer(_spec("any", EffectClass.READ, False)).version
    engine: PolicyEngine = policies.policy_engine(*policy_text(policy.id))
    return engine.decide, engine.digest


def _builtin(question: PolicyInput) -> PolicyDecision:
    tool = question.tool
    return builtin_answer(_spec(tool.name, EffectClass(tool.effect), tool.privileged))


def _spec(name: str, effect: EffectClass, privileged: bool) -> ToolSpec:
    return ToolSpec(
        name=name, description="", input_schema={}, effect=effect, privileged=privileged
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    asked: PolicyInput
    is_reconstructed: bool


class _Questions:
    """The questions of recorded calls."""

    def __init__(self, calls: "Sequence[ToolCall]") -> None:
        rows = Run.objects.select_related("snapshot")
        self._runs = rows.in_bulk({call.run_id for call in calls})
        self._tools = cache(_tools)

    def of(self, call: "ToolCall") -> _Question | Unjudged:
        decision = call.decision or {}
        if "rule" not in decision:
            return Unjudged.NOT_ASKED
        if call.arguments is None:
            return Unjudged.WITHHELD
        if arguments_digest(call.arguments) != call.arguments_digest:
            return Unjudged.REDACTED
        if (kept := decision.get("question")) is not None:
            again = question_again(kept, call.arguments, run_id=call.run_id)
            if again is not None:
                return _Question(asked=again, is_reconstructed=False)
        return self._reconstructed(call, call.arguments)

    def _reconstructed(self, call: "ToolCall", arguments: dict[str, Any]) -> _Question | Unjudged:
        run = self._runs.get(call.run_id)
        if run is None:
            return Unjudged.NO_RUN
        bound, url = self._tools(run.snapshot).get(call.tool, (None, ""))
        if bound is None or bound.digest != call.spec_digest:
            return Unjudged.NO_TOOL
        asked = AskedCall(
            run_id=run.pk,
            workspace_id=run.workspace_id,
            position=call.position,
            index=call.index,
            spec=bound.spec,
            spec_digest=call.spec_digest,
            arguments=arguments,
            arguments_digest=call.arguments_digest,
            url=url,
        )
        return _Question(asked=question_of(asked), is_reconstructed=True)


def _tools(snapshot: Any) -> dict[str, tuple[BoundTool, str]]:
    """Return the tools of a snapshot that are installed here, with the addresses they call."""
    found = {}
    for pinned in snapshot_of(snapshot.content).tools:
        if (bound := bound_tool(pinned)) is not None:
            found[pinned.name] = (bound, str((pinned.definition or {}).get("url", "")))
    return found


def _change(before: PolicyDecision, after: PolicyDecision) -> Change:
    if before.effect is after.effect:
        return Change.UNCHANGED
    return {
        Effect.DENY: Change.BLOCKED,
        Effect.ASK: Change.ASKED,
        Effect.ALLOW: Change.FREE,
    }[after.effect]


def _count(
    found: Simulation,
    call: "ToolCall",
    question: _Question,
    before: PolicyDecision,
    after: PolicyDecision,
    *,
    kept: bool,
    examples: int,
) -> None:
    found.judged += 1
    found.reconstructed += question.is_reconstructed
    found.abnormal += after.is_abnormal
    change = _change(before, after)
    found.changes[change] += 1
    if change is Change.UNCHANGED:
        return
    found.rules[change, after.rule] += 1
    if found.changes[change] > examples:
        return
    found.examples.append(
        Example(
            change=change,
            call=call.pk,
            run=call.run_id,
            at=call.planned_at,
            tool=call.tool,
            agent=question.asked.agent.name,
            user=question.asked.subject.user,
            state=call.state,
            is_reconstructed=question.is_reconstructed,
            is_unprotected=question.asked.tool.sandbox == Isolation.DISABLED,
            before=_told(before),
            after=_told(after),
            arguments=call.arguments if kept else None,
        )
    )


def _told(decision: PolicyDecision) -> Answer:
    return Answer(
        effect=decision.effect.value,
        rule=decision.rule,
        reason=decision.reason,
        is_abnormal=decision.is_abnormal,
    )
