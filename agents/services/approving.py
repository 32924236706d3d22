"""Carrying decisions about tool calls to their runs, in the deciding transaction.

The run is woken by each decision, not only by the last of a turn: what was approved should happen
before its time is over or a fact it is bound to changes, and it costs one more claim.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from agents.contracts import RunState
from agents.doorbell import ring
from agents.execution.evidence import call_evidence
from agents.execution.questions import AskedCall, question_of, shared_facts, terms_of
from agents.execution.tooling import bound_tool
from agents.models import Run
from agents.services.rulings import ruling_told
from agents.snapshot import snapshot_of
from agents.transitions import run_move, run_note
from core.errors import ConflictError, InvalidInputError, PermissionDeniedError, StaleStateError
from core.redaction import redact_or_withhold
from governance.contracts import Alikeness, Edit, Ruling, Terms
from governance.policy.contracts import Effect
from governance.selectors.policies import policy_in_force, policy_text
from governance.services import policies
from observability.contracts import EventKind
from plugins.contracts import WaitKind
from plugins.dispatch import BoundTool, arguments_digest
from plugins.services.asked import call_of, call_rule
from sandbox.contracts import Profile
from sandbox.site import SiteRules

if TYPE_CHECKING:
    from plugins.models import ToolCall


class ToolCallApprovals:
    """The approval kind `tool_call`."""

    def lock(self, *, subject_id: UUID, run_id: UUID | None) -> None:
        """Lock the run, which its owner's writes lock first too."""
        if run_id is not None:
            list(Run.objects.select_for_update().filter(pk=run_id).values_list("pk"))

    def edit(self, *, subject_id: UUID, arguments: Mapping[str, Any]) -> Edit:
        """Check arguments against the tool's schema, for secrets, and against the policy."""
        asked = _fitting(subject_id, arguments)
        facts = {"arguments": asked.arguments_digest}
        return Edit(arguments=asked.arguments, facts=facts, terms=_terms(asked))

    def alike(self, *, subject_id: UUID) -> Alikeness:
        """Describe the call as it was approved, for a standing approval of calls alike."""
        call = call_of(subject_id)
        run = Run.objects.select_related("snapshot").get(pk=call.run_id)
        asked = _asked(call, run, dict(call.arguments or {}))
        policy = policy_in_force(run.workspace_id)
        return Alikeness(
            tool=call.tool,
            agent=run.agent_name,
            facts=shared_facts(asked, policy_id=policy.id if policy else None),
            question=question_of(asked),
        )

    def evidence(self, *, subject_id: UUID) -> Mapping[str, Any]:
        return call_evidence(subject_id)

    def decided(self, ruling: Ruling) -> None:
        call = call_rule(ruling)
        run = Run.objects.get(pk=call.run_id)
        told = ruling_told(ruling) | {"call_id": str(call.pk), "tool": call.tool}
        run_note(
            run=run, kind=EventKind.APPROVAL_DECIDED, payload=told | {"call_state": call.state}
        )
        try:
            run_move(
                run_id=run.pk,
                target=RunState.QUEUED,
                sources={RunState.WAITING},
                where=~Q(wait_kind=WaitKind.TURN.value),
            )
        except StaleStateError:
            return  # running, paused or queued: it finds the decision when it looks
        transaction.on_commit(ring)

    def noted(self, ruling: Ruling, *, event: str) -> None:
        run = Run.objects.get(pk=call_of(ruling.subject_id).run_id)
        told = ruling_told(ruling) | {"call_id": str(ruling.subject_id), "what": event}
        run_note(run=run, kind=EventKind.APPROVAL_NOTED, payload=told)


def checked_arguments(call_id: UUID, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return other arguments for an open call, if they may be asked for at all.

    Raises:
        InvalidInputError: They do not fit the tool's schema, or hold a secret.
        PermissionDeniedError: The policy denies them.
    """
    asked = _fitting(call_id, arguments)
    _terms(asked)
    return asked.arguments


def _fitting(call_id: UUID, arguments: Mapping[str, Any]) -> AskedCall:
    call = call_of(call_id)
    run = Run.objects.select_related("snapshot").get(pk=call.run_id)
    bound, _ = _bound(run, call.tool)
    given = dict(arguments)
    if complaint := bound.checker.complaint(given):
        raise _unfit(f"The arguments do not fit the schema of {call.tool}: {complaint}")
    if redact_or_withhold(given) != given:
        raise _unfit(
            "The arguments hold something that looks like a secret; it would not be stored, "
            "and the call could not run."
        )
    return _asked(call, run, given)


def _bound(run: Run, tool: str) -> tuple[BoundTool, str]:
    """Return the tool the run is pinned to, with the address it calls when it is declared."""
    for pinned in snapshot_of(run.snapshot.content).tools:
        if pinned.name == tool and (bound := bound_tool(pinned)) is not None:
            return bound, str((pinned.definition or {}).get("url", ""))
    raise ConflictError(
        f"The tool {tool} the run started with is not installed here.",
        remedy="Approve it as it was asked, or deny it.",
    )


def _asked(call: "ToolCall", run: Run, arguments: dict[str, Any]) -> AskedCall:
    bound, url = _bound(run, call.tool)
    return AskedCall(
        run_id=run.pk,
        workspace_id=run.workspace_id,
        position=call.position,
        index=call.index,
        spec=bound.spec,
        spec_digest=call.spec_digest,
        arguments=arguments,
        arguments_digest=arguments_digest(arguments),
        url=url,
        sandbox=_profile(bound),
    )


def _profile(bound: BoundTool) -> Profile | None:
    wanted = bound.spec.sandbox
    rules: SiteRules = settings.SANDBOX_RULES
    return None if wanted is None else rules.applied(wanted)


def _terms(asked: AskedCall) -> Terms | None:
    """Return by which terms the policy asks about a call; None: it asks nobody.

    Raises:
        PermissionDeniedError: It denies it; approvers decide what policy leaves open, no more.
    """
    policy = policy_in_force(asked.workspace_id)
    if policy is None:
        return None
    answer = policies.policy_engine(*policy_text(policy.id)).decide(question_of(asked))
    if answer.effect is Effect.DENY:
        raise PermissionDeniedError(
            f"The policy denies these arguments: {answer.reason or answer.rule}",
            remedy="Choose others, or deny the call.",
        )
    return None if answer.effect is Effect.ALLOW else terms_of(answer)


def _unfit(sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={"arguments": [sentence]})
