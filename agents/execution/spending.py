"""Setting money aside before a model is asked: what a call may cost at most, and in which limits.

A run without any limit above it never comes here.
"""

import asyncio
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from agents.contracts import CompletionRequest, ProviderKind, Usage
from agents.execution.context import Held, RunContext
from agents.execution.database import DatabaseThread
from agents.journal.records import ApprovalRow
from agents.models import Run
from agents.pricing import charge_of, is_untold
from agents.snapshot import PinnedModel
from core import clock
from core.errors import DomainError
from core.finishing import undivided
from core.ids import new_id
from governance.binding import digest_of_facts
from governance.budgets import LARGEST_USD, dollars, suggested_raise
from governance.contracts import ApprovalKind
from governance.selectors.budgets import roots_capped, runs_capped
from governance.selectors.policies import policy_subject
from governance.services.approvals import questions_asked, questions_withdraw
from governance.services.spending import (
    ModelCall,
    Reserved,
    RunCap,
    Shortfall,
    run_caps_open,
)
from governance.services.spending_batches import Answer, spending_reserve_many

# What a model may answer where nobody says; every current model allows it.
OUTPUT_TOKENS = 8_192
_TOKENS_EACH_MESSAGE = 16
_AT_ONCE = 200  # calls in one transaction
_TOKENS_AROUND = 1_024  # what vendors put around a request with tools
# A number beyond this is no number of tokens.
MOST_TOKENS = 1_000_000_000
_OUTPUT_WORDS = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"}
)
_ANSWER_WORDS = frozenset({"n", "candidateCount"})
# Where each kind of vendor looks for the bound of an answer: at the top, or in a part of this name.
_IN_GEMINI = "generationConfig"
_HEEDED: Mapping[str, tuple[str, frozenset[str]]] = {
    ProviderKind.OPENAI.value: ("", frozenset({"max_tokens", "max_completion_tokens"})),
    ProviderKind.ANTHROPIC.value: ("", frozenset({"max_tokens"})),
    ProviderKind.GEMINI.value: (_IN_GEMINI, frozenset({"maxOutputTokens"})),
}


_Waiting: TypeAlias = "asyncio.Future[Answer]"


class Purse:
    """Shared by all drivers of a process, with a database thread of its own.

    Calls that come while it is busy are asked about together, next.
    """

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._waiting: list[tuple[ModelCall, _Waiting]] = []
        self._is_asking = False

    async def reserve(
        self, context: RunContext, request: CompletionRequest, place: int
    ) -> CompletionRequest | Shortfall:
        """Set the most the call may cost aside; returns the request that keeps to it.

        Being cancelled waits for the transaction, so that what is set aside is never unknown.
        """
        models = context.snapshot.models
        bounded = bounded_request(request, {model.provider_kind for model in models})
        usd = most_of(models, bounded)
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
        found = await self.asked(call)
        context.has_reserved = True
        if isinstance(found, Shortfall):
            return found
        if found is not None:
            context.held = Held(id=found.id, usd=found.usd, accounts=found.accounts)
        return request

    async def asked(self, call: ModelCall) -> Reserved | Shortfall | None:
        """Answer as `spending_reserve` does; whoever asks at the same time shares its commit."""
        answer: _Waiting = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        if not self._is_asking:
            self._ask()
        found = await answer
        if isinstance(found, DomainError):
            raise found
        return found

    def _ask(self) -> None:
        """Ask about those that wait; whoever comes before the answer is asked about then."""
        asked, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        calls = [call for call, _ in asked]
        self._is_asking = True
        asking = asyncio.ensure_future(self._database.run(partial(_reserved, calls)))
        asking.add_done_callback(partial(self._tell, [answer for _, answer in asked]))

    def _tell(self, waiting: Sequence[_Waiting], asked: "asyncio.Future[list[Answer]]") -> None:
        self._is_asking = False
        if self._waiting:
            self._ask()
        failed = None if asked.cancelled() else asked.exception()
        for index, each in enumerate(waiting):
            if each.done():
                continue  # whoever asked is gone, with its loop
            if asked.cancelled():
                each.cancel()
            elif failed is not None:
                each.set_exception(failed)
            else:
                each.set_result(asked.result()[index])

    async def question(self, context: RunContext, shortfall: Shortfall) -> ApprovalRow:
        """Write down what people are asked when a limit has no room for the next call."""
        return await self._database.run(partial(_question, context, shortfall))


def charged(context: RunContext, model: PinnedModel, usage: Usage) -> None:
    """Note what an answer cost; the commit that carries it settles it.

    Of an answer whose tokens nobody told, all that was set aside is counted.
    """
    held = context.held
    if held is not None:
        held.charged_usd = held.usd if is_untold(model, usage) else charge_of(model, usage).usd


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
    most = max(charge_of(model, usage).usd for model in models for usage in usages)
    return min(most, LARGEST_USD)  # more than any limit has room for


def tokens_at_most(request: CompletionRequest) -> int:
    """Return more tokens than any tokenizer makes of a request: its bytes.

    The tokenizers of current models fall back to single bytes, so that no text has more tokens
    than bytes in UTF-8; usual text has a quarter of that. What goes around messages and tools is
    added. The difference is given back as soon as the answer is there.
    """
    said = (request.system, request.messages, request.tools, request.options.extra)
    size = len(msgspec.json.encode(said, enc_hook=str))
    return size + _TOKENS_EACH_MESSAGE * len(request.messages) + _TOKENS_AROUND


def bounded_request(request: CompletionRequest, kinds: Collection[str] = ()) -> CompletionRequest:
    """Bound the answer where nobody did, so that what is set aside is enough.

    What is passed to the vendor as it is bounds an answer only where vendors of all these `kinds`
    look for it (none given: of any). A bound there that is no number above zero would take ours
    away, and is left out.
    """
    options = request.options
    extra = _with_bounds_only(options.extra)
    bound = options.max_output_tokens
    if bound is None and not _is_heeded(extra, kinds):
        bound = OUTPUT_TOKENS
    if bound == options.max_output_tokens and extra == options.extra:
        return request
    bounded = msgspec.structs.replace(options, max_output_tokens=bound, extra=extra)
    return msgspec.structs.replace(request, options=bounded)


def output_at_most(request: CompletionRequest) -> int:
    """Return how many tokens the answers may have, also by what is passed to the vendor as is."""
    options = request.options
    said = [options.max_output_tokens or 0, *_numbers(options.extra, _OUTPUT_WORDS)]
    answers = max([1, *_numbers(options.extra, _ANSWER_WORDS)])
    return min((max(said) or OUTPUT_TOKENS) * answers, MOST_TOKENS)


def _is_heeded(extra: Mapping[str, Any], kinds: Collection[str]) -> bool:
    found = [
        bool(words & _part(extra, name).keys())
        for kind, (name, words) in _HEEDED.items()
        if not kinds or kind in kinds
    ]
    return any(found) and (not kinds or all(found))


def _part(extra: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = extra.get(name, {}) if name else extra
    return part if isinstance(part, Mapping) else {}


def _with_bounds_only(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return `extra` without words for a bound that bound nothing, where vendors look for them."""
    kept = {name: value for name, value in extra.items() if not _is_no_bound(name, value)}
    if isinstance(inner := kept.get(_IN_GEMINI), Mapping):
        kept[_IN_GEMINI] = {
            name: value for name, value in inner.items() if not _is_no_bound(name, value)
        }
    return kept


def _is_no_bound(name: str, value: Any) -> bool:
    return name in _OUTPUT_WORDS and (_number(value) or 0) < 1


def _numbers(extra: Mapping[str, Any], words: frozenset[str]) -> list[int]:
    found = []
    for name, value in extra.items():
        if isinstance(value, Mapping):
            found += _numbers(value, words)
        elif name in words and (number := _number(value)) is not None:
            found.append(number)
    return found


def _number(value: Any) -> int | None:
    """Read a number as a server might that is not strict about it: 5, 5.0 and "5"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = value if isinstance(value, int) else Decimal(str(value)[:40])
    except InvalidOperation:
        return None
    if isinstance(number, Decimal) and not number.is_finite():
        return None
    return math.ceil(max(min(number, MOST_TOKENS), 0))


def _reserved(calls: Sequence[ModelCall]) -> list[Answer]:
    # The first since a run was claimed may be in the middle of its question: whatever is true now
    # is asked anew.
    first = [call.run_id for call in calls if call.may_be_again]
    for run_id in questions_asked(ApprovalKind.BUDGET_RAISE, first) if first else ():
        questions_withdraw(ApprovalKind.BUDGET_RAISE, run_id, cause="The run went on")
    return spending_reserve_many(calls)


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


def payers_above(roots: Mapping[UUID, UUID]) -> dict[UUID, tuple[UUID, ...]]:
    """Return whose limits count for runs under way, given with the roots of their trees, where a
    run of the tree has one."""
    capped = roots_capped(set(roots.values()))
    return {run_id: tuple(_line_of(run_id)) for run_id, root in roots.items() if root in capped}


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
        limit_usd=min(limit, LARGEST_USD),  # of before there was a largest
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
