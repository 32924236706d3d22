"""Setting money aside before a model is asked: what a call may cost at most, and in which limits.

A run without any limit above it never comes here.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import CompletionRequest, Usage
from agents.execution.context import Held, RunContext
from agents.execution.database import DatabaseThread
from agents.journal.records import ApprovalRow
from agents.models import Run
from agents.pricing import charge_of
from agents.snapshot import PinnedModel
from core import clock
from core.finishing import undivided
from core.ids import new_id
from governance.binding import digest_of_facts
from governance.budgets import dollars, suggested_raise
from governance.contracts import ApprovalKind
from governance.selectors.budgets import runs_capped
from governance.selectors.policies import policy_subject
from governance.services.approvals import questions_withdraw
from governance.services.spending import (
    ModelCall,
    Reserved,
    RunCap,
    Shortfall,
    run_caps_open,
    spending_reserve,
)

# What a model may answer where nobody says; every current model allows it.
OUTPUT_TOKENS = 8_192
_TOKENS_EACH_MESSAGE = 16
_TOKENS_AROUND = 1_024  # what vendors put around a request with tools
_OUTPUT_WORDS = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"}
)
_ANSWER_WORDS = frozenset({"n", "candidateCount"})


class Purse:
    """Shared by all drivers of a process, with a database thread of its own."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database

    async def reserve(
        self, context: RunContext, request: CompletionRequest, place: int
    ) -> CompletionRequest | Shortfall:
        """Set the most the call may cost aside; returns the request that keeps to it.

        Being cancelled waits for the transaction, so that what is set aside is never unknown.
        """
        bounded = bounded_request(request)
        usd = most_of(context.snapshot.models, bounded)
        if not usd:
            return request  # free of charge, whatever it says
        call = ModelCall(
            workspace_id=context.workspace_id,
            run_id=context.run_id,
            place=place,
            fence=context.fence,
            agent=context.agent,
            user_id=context.requested_by_id,
            payers=context.payers,
            model=context.snapshot.models[0].name,
            usd=usd,
            may_be_again=not context.has_reserved,
        )
        return await undivided(self._reserve(context, call, bounded))

    async def _reserve(
        self, context: RunContext, call: ModelCall, request: CompletionRequest
    ) -> CompletionRequest | Shortfall:
        found = await self._database.run(partial(_reserved, call))
        context.has_reserved = True
        if isinstance(found, Shortfall):
            return found
        if found is not None:
            context.held = Held(id=found.id, usd=found.usd, accounts=found.accounts)
        return request

    async def question(self, context: RunContext, shortfall: Shortfall) -> ApprovalRow:
        """Write down what people are asked when a limit has no room for the next call."""
        return await self._database.run(partial(_question, context, shortfall))


def charged(context: RunContext, model: PinnedModel, usage: Usage) -> None:
    """Note what an answer cost; the commit that carries it settles it."""
    if context.held is not None:
        context.held.charged_usd = charge_of(model, usage).usd


def most_of(models: Sequence[PinnedModel], request: CompletionRequest) -> Decimal:
    """Return the most a call can cost, whichever of the models answers.

    A model without a known price is counted as `agents.pricing` says, never as free.
    """
    tokens = tokens_at_most(request)
    answer = output_at_most(request)
    plain = Usage(input_tokens=tokens, output_tokens=answer)
    written = Usage(input_tokens=tokens, cache_write_tokens=tokens, output_tokens=answer)
    thought = msgspec.structs.replace(plain, reasoning_tokens=answer)
    brooded = msgspec.structs.replace(written, reasoning_tokens=answer)
    usages = (plain, written, thought, brooded)
    return max(charge_of(model, usage).usd for model in models for usage in usages)


def tokens_at_most(request: CompletionRequest) -> int:
    """Return more tokens than any tokenizer makes of a request: its bytes.

    The tokenizers of current models fall back to single bytes, so that no text has more tokens
    than bytes in UTF-8; usual text has a quarter of that. What goes around messages and tools is
    added. The difference is given back as soon as the answer is there.
    """
    said = (request.system, request.messages, request.tools, request.options.extra)
    size = len(msgspec.json.encode(said, enc_hook=str))
    return size + _TOKENS_EACH_MESSAGE * len(request.messages) + _TOKENS_AROUND


def bounded_request(request: CompletionRequest) -> CompletionRequest:
    """Bound the answer where nobody did, so that what is set aside is enough."""
    options = request.options
    if options.max_output_tokens is not None or _numbers(options.extra, _OUTPUT_WORDS):
        return request
    bounded = msgspec.structs.replace(options, max_output_tokens=OUTPUT_TOKENS)
    return msgspec.structs.replace(request, options=bounded)


def output_at_most(request: CompletionRequest) -> int:
    """Return how many tokens the answers may have, also by what is passed to the vendor as is."""
    options = request.options
    said = [options.max_output_tokens or 0, *_numbers(options.extra, _OUTPUT_WORDS)]
    answers = max([1, *_numbers(options.extra, _ANSWER_WORDS)])
    return (max(said) or OUTPUT_TOKENS) * answers


def _numbers(extra: Mapping[str, Any], words: frozenset[str]) -> list[int]:
    found = []
    for name, value in extra.items():
        if isinstance(value, Mapping):
            found += _numbers(value, words)
        elif name in words and isinstance(value, int):
            found.append(value)
    return found


def _reserved(call: ModelCall) -> Reserved | Shortfall | None:
    if call.may_be_again:
        # The first since the run was claimed, which may be in the middle of its question:
        # whatever is true now is asked anew.
        questions_withdraw(ApprovalKind.BUDGET_RAISE, call.run_id, cause="The run went on")
    return spending_reserve(call)


def _question(context: RunContext, shortfall: Shortfall) -> ApprovalRow:
    figures, needed = shortfall.figures, shortfall.needed_usd
    amount = suggested_raise(figures, needed)
    facts = {
        "account": str(shortfall.account_id),
        "needed_usd": str(needed),
        "raise_by_usd": str(amount),
    }
    run = Run.objects.select_related("version").get(pk=context.run_id)
    requester = policy_subject(context.requested_by_id, context.workspace_id)
    return ApprovalRow(
        id=new_id(),
        workspace_id=context.workspace_id,
        kind=ApprovalKind.BUDGET_RAISE.value,
        subject_id=context.run_id,
        run_id=context.run_id,
        agent_name=context.agent,
        requester_id=context.requested_by_id,
        requester_name=requester.user,
        title=f"{context.agent} needs more than {shortfall.name} has left",
        question=shortfall_sentence(shortfall)
        + f" Raise it by {dollars(amount)} or another amount; denying ends the run.",
        binding=facts,
        binding_digest=digest_of_facts(facts),
        arguments={"raise_by_usd": str(amount)},
        owner_id=run.version.created_by_id if run.version else None,
        allow_owner=False,
        approvers=[],
        quorum=1,
        allow_self=False,
        rule="",
        policy_version="",
        expires_seconds=None,
        expires_at=None,
        on_expiry="",
        escalate_to=[],
        created_at=clock.now(),
    )


def shortfall_sentence(shortfall: Shortfall) -> str:
    """Say how a limit stands and what is asked of it."""
    figures = shortfall.figures
    title = shortfall.title[0].upper() + shortfall.title[1:]
    return (
        f"{title} allows {dollars(figures.limit_usd or Decimal(0))}: "
        f"{dollars(figures.spent_usd)} is spent and {dollars(figures.reserved_usd)} is set aside "
        f"for calls under way. The next model call may cost up to "
        f"{dollars(shortfall.needed_usd)}."
    )


# --- the limits of runs ---------------------------------------------------------------------------


def payers_load(contexts: Mapping[UUID, RunContext], capped: Iterable[UUID]) -> None:
    """Note which runs' own limits count for runs that were claimed: theirs, and those above.

    `capped` are runs in whose tree some run has a limit. Opens the accounts of new limits.
    """
    for run_id in capped:
        contexts[run_id].payers = tuple(_line_of(run_id))
    own = {
        run_id: context
        for run_id, context in contexts.items()
        if context.limits.max_cost_usd is not None and context.recorded is None
    }
    for run_id, context in own.items():
        if not context.payers:
            context.payers = (run_id,)
    missing = own.keys() - runs_capped(list(own)) if own else set()
    run_caps_open([_cap(own[run_id]) for run_id in sorted(missing)])


def _line_of(run_id: UUID) -> Iterable[UUID]:
    """Yield a run and those above it."""
    current: UUID | None = run_id
    while current is not None:
        yield current
        current = Run.objects.values_list("parent_id", flat=True).get(pk=current)


def _cap(context: RunContext) -> RunCap:
    limit = context.limits.max_cost_usd
    assert limit is not None
    own = context.state.cost_usd if context.state else Decimal(0)
    below = _spent_below(context.run_id) if context.state else Decimal(0)
    return RunCap(
        workspace_id=context.workspace_id,
        run_id=context.run_id,
        root_id=context.root_id,
        agent=context.agent,
        limit_usd=limit,
        spent_usd=own + below,
    )


def _spent_below(run_id: UUID) -> Decimal:
    """Return what the runs below have cost so far; for a limit that was set late."""
    total, parents = Decimal(0), [run_id]
    while parents:
        rows = list(Run.objects.filter(parent_id__in=parents).values_list("pk", "cost_usd"))
        total += sum((cost for _, cost in rows), Decimal(0))
        parents = [pk for pk, _ in rows]
    return total
