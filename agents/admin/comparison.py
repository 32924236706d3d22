"""Two runs side by side: what they have in common, and where they went apart.

Steps are aligned by what was asked for, so that a step more or less on one side does not make all
that follows look different. What a fork shares with its origin is the same rows, and told as one
number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from agents.admin.conversation import Text, folded
from agents.models import Message, Run
from agents.selectors.history import run_messages
from agents.selectors.trail import Mark, answer_marks, milliseconds
from core.admin import Line, count, duration, moment, money, pill, pretty_json, text_difference
from core.errors import InvalidInputError
from governance import access
from governance.contracts import Actor
from governance.guard.admin import GuardedAdmin
from plugins.selectors import calls_between, calls_count

MAX_STEPS: Final = 300
MAX_COMPARED: Final = 20_000
MAX_LINES: Final = 400
NOTHING: Final = "–"

if TYPE_CHECKING:
    _Base = GuardedAdmin
else:
    _Base = object


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call of a step; `arguments` and `result` stay empty for whoever may not read them."""

    tool: str
    state: str
    arguments: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A message of a history, with what its model call took and the calls it asked for."""

    position: int
    role: str
    text: str
    calls: tuple[Asked, ...]
    mark: Mark | None
    url: str

    @property
    def shape(self) -> tuple[str, ...]:
        return (self.role, *(call.tool for call in self.calls))

    @property
    def content(self) -> tuple[Any, ...]:
        return (self.role, self.text, *((c.tool, c.arguments, c.result) for c in self.calls))

    @property
    def shown(self) -> Text:
        return folded(self.text)

    @property
    def figures(self) -> str:
        """Tokens, cost and time of the model call, in one line."""
        if self.mark is None:
            return ""
        tokens = gettext("%(tokens_in)s in, %(tokens_out)s out") % {
            "tokens_in": count(self.mark.tokens_in),
            "tokens_out": count(self.mark.tokens_out),
        }
        cost = (
            gettext("price unknown")
            if self.mark.cost is None
            else str(money(Decimal(self.mark.cost)))
        )
        return " · ".join((tokens, cost, duration(self.mark.took / 1000)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPair:
    """A call on both sides, or on one. Lines are what differs; none: nothing does."""

    left: Asked | None
    right: Asked | None
    arguments: tuple[Line, ...]
    result: tuple[Line, ...]

    @property
    def is_same(self) -> bool:
        return self.left is not None and self.right is not None and self.left == self.right


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A step on both sides, or on one."""

    left: Step | None
    right: Step | None
    calls: tuple[CallPair, ...] = ()

    @property
    def is_text_same(self) -> bool:
        return bool(self.left and self.right and self.left.text == self.right.text)

    @property
    def title(self) -> str:
        step = self.left or self.right
        assert step is not None
        names = ", ".join(call.tool for call in step.calls)
        words = {"user": gettext("Input"), "system": gettext("System")}.get(step.role)
        return words or (
            gettext("Asks for %(names)s") % {"names": names} if names else gettext("Answer")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Steps in a row that are the same on both sides, or one that is not."""

    is_same: bool
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    name: str
    left: SafeString | str
    right: SafeString | str
    delta: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    left: Run
    right: Run
    totals: tuple[Total, ...]
    shared: int
    blocks: tuple[Block, ...]
    is_readable: bool
    is_cut: bool

    @property
    def differences(self) -> int:
        return sum(not block.is_same for block in self.blocks)


def compare(left: Run, right: Run, *, is_readable: bool) -> Comparison:
    """Compare two runs the reader may see; without sight of payloads by shape and figures only."""
    shared = _shared(left, right)
    sides = [_steps(run, shared, is_readable=is_readable) for run in (left, right)]
    return Comparison(
        left=left,
        right=right,
        totals=tuple(_totals(left, right)),
        shared=shared,
        blocks=tuple(_blocks(_pairs(sides[0][:MAX_STEPS], sides[1][:MAX_STEPS]))),
        is_readable=is_readable,
        is_cut=any(len(side) > MAX_STEPS for side in sides),
    )


def _shared(left: Run, right: Run) -> int:
    """Return how many messages at the beginning are the very same rows."""
    keys = [run_messages(run).values_list("pk", flat=True) for run in (left, right)]
    for number, (one, other) in enumerate(zip_longest(*keys)):
        if one != other or one is None:
            return number
    return len(keys[0])


def _steps(run: Run, shared: int, *, is_readable: bool) -> list[Step]:
    history = run_messages(run).filter(position__gte=shared)
    rows: list[Message] = list(history[: 3 * MAX_STEPS])
    if not rows:
        return []
    ledger: dict[int, list[Any]] = {}
    for call in calls_between(run.pk, rows[0].position, rows[-1].position):
        ledger.setdefault(call.position, []).append(call)
    marks = answer_marks(run)
    results = {
        part["id"]: part.get("result", "")
        for row in rows
        for part in row.parts
        if part.get("type") == "tool_call_response"
    }
    page = reverse("admin:agents_run_change", args=[run.pk])
    return [
        Step(
            position=row.position,
            role=row.role,
            text=_text(row) if is_readable else "",
            calls=_calls(row, ledger.get(row.position), results, is_readable=is_readable),
            mark=marks.get(milliseconds(row.created_at)) if row.role == "assistant" else None,
            url=f"{page}#show=conversation&at={row.position}",
        )
        for row in rows
        if row.role != "tool"
    ]


def _text(row: Message) -> str:
    return "\n\n".join(p["content"] for p in row.parts if p.get("type") == "text")


def _calls(
    row: Message, ledger: Sequence[Any] | None, results: Mapping[str, str], *, is_readable: bool
) -> tuple[Asked, ...]:
    """Return the calls of a message as the ledger has them, else as the messages tell."""
    if ledger:
        return tuple(
            Asked(
                tool=call.tool,
                state=call.state,
                arguments=pretty_json(call.arguments) if is_readable else "",
                result=call.result if is_readable else "",
            )
            for call in ledger
        )
    return tuple(
        Asked(
            tool=part["name"],
            state="",
            arguments=pretty_json(part.get("arguments")) if is_readable else "",
            result=results.get(part["id"], "") if is_readable else "",
        )
        for part in row.parts
        if part.get("type") == "tool_call"
    )


def _pairs(left: Sequence[Step], right: Sequence[Step]) -> Iterator[Pair]:
    shapes = [[step.shape for step in side] for side in (left, right)]
    matcher = SequenceMatcher(a=shapes[0], b=shapes[1], autojunk=False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal" or kind == "replace":
            for one, other in zip_longest(left[i1:i2], right[j1:j2]):
                yield _pair(one, other)
        else:
            yield from (_pair(step, None) for step in left[i1:i2])
            yield from (_pair(None, step) for step in right[j1:j2])


def _pair(left: Step | None, right: Step | None) -> Pair:
    calls = zip_longest(left.calls if left else (), right.calls if right else ())
    return Pair(left=left, right=right, calls=tuple(_call_pair(*pair) for pair in calls))


def _call_pair(left: Asked | None, right: Asked | None) -> CallPair:
    return CallPair(
        left=left,
        right=right,
        arguments=_lines(left.arguments if left else "", right.arguments if right else ""),
        result=_lines(left.result if left else "", right.result if right else ""),
    )


def _lines(before: str, after: str) -> tuple[Line, ...]:
    if before == after:
        return ()
    lines = text_difference(before[:MAX_COMPARED], after[:MAX_COMPARED])[:MAX_LINES]
    cut = Line(
        sign="",
        kind="place",
        text=gettext("They differ behind %(max_compared)s characters.")
        % {"max_compared": MAX_COMPARED},
    )
    return lines or (cut,)


def _blocks(pairs: Iterator[Pair]) -> Iterator[Block]:
    same: list[Pair] = []
    for pair in pairs:
        if pair.left and pair.right and pair.left.content == pair.right.content:
            same.append(pair)
            continue
        if same:
            yield Block(is_same=True, pairs=tuple(same))
            same = []
        yield Block(is_same=False, pairs=(pair,))
    if same:
        yield Block(is_same=True, pairs=tuple(same))


def _totals(left: Run, right: Run) -> Iterator[Total]:
    yield Total(name=gettext("State"), left=pill(left.state), right=pill(right.state), delta="")
    for name, values in (
        (gettext("Model calls"), [run.iteration for run in (left, right)]),
        (gettext("Tool calls"), [calls_count(run.pk) for run in (left, right)]),
        (gettext("Tokens in"), [run.input_tokens for run in (left, right)]),
        (gettext("Tokens out"), [run.output_tokens for run in (left, right)]),
        (gettext("Tokens from cache"), [run.cache_read_tokens for run in (left, right)]),
    ):
        yield Total(name=name, left=count(values[0]), right=count(values[1]), delta=_delta(*values))
    costs = [money(run.cost_usd, is_partial=run.cost_is_partial) for run in (left, right)]
    more = right.cost_usd - left.cost_usd
    told = f"{'+' if more > 0 else '−'}{money(abs(more))}" if more else "same"
    is_floor = left.cost_is_partial or right.cost_is_partial  # then nobody knows
    yield Total(name="Cost", left=costs[0], right=costs[1], delta="" if is_floor else told)
    took = [_took(run) for run in (left, right)]
    yield Total(
        name="Took",
        left=NOTHING if took[0] is None else duration(took[0]),
        right=NOTHING if took[1] is None else duration(took[1]),
        delta=_slower(took[0], took[1]),
    )


def _delta(left: int, right: int) -> str:
    if left == right:
        return "same"
    return f"{'+' if right > left else '−'}{count(abs(right - left))}"


def _slower(left: float | None, right: float | None) -> str:
    if left is None or right is None:
        return ""
    return f"{'+' if right >= left else '−'}{duration(abs(right - left))}"


def _took(run: Run) -> float | None:
    if run.started_at is None or run.finished_at is None:
        return None
    return (run.finished_at - run.started_at).total_seconds()


class RunComparison(_Base):
    """The page that compares two runs, and the way to it from the list. Mixed into the runs'."""

    def compare_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.compare_view)
        place = "<uuid:run_id>/compare/<uuid:other_id>/"
        return [path(place, view, name="agents_run_compare")]

    def compare_chosen(self, request: HttpRequest, rows: QuerySet[Run]) -> HttpResponse:
        """Go to the page that compares the two runs that were chosen, the older one left."""
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:3])
        if len(keys) != 2:
            raise InvalidInputError(
                "Two runs are compared with each other.", remedy="Choose two of them."
            )
        return HttpResponseRedirect(reverse("admin:agents_run_compare", args=keys))

    def compare_view(self, request: HttpRequest, run_id: UUID, other_id: UUID) -> HttpResponse:
        """Show two runs side by side."""
        left, right = (self.visible_run(request, key) for key in (run_id, other_id))
        found = compare(left, right, is_readable=_may_read(self.actor(request), left, right))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("%(agent_name)s and %(agent_name2)s")
            % {"agent_name": left.agent_name, "agent_name2": right.agent_name},
            "opts": self.opts,
            "comparison": found,
            "sides": [_side(left, right), _side(right, left)],
            "swapped": reverse("admin:agents_run_compare", args=[right.pk, left.pk]),
        }
        return TemplateResponse(request, "admin/agents/run/compare.html", context)

    if TYPE_CHECKING:

        def visible_run(self, request: HttpRequest, run_id: object) -> Run: ...


def _may_read(actor: Actor, *runs: Run) -> bool:
    return all(access.may_see_payload(actor, run.workspace_id) for run in runs)


def _side(run: Run, other: Run) -> dict[str, Any]:
    """Return what a column is headed with."""
    is_fork = run.prefix_run_id == other.pk
    return {
        "run": run,
        "url": reverse("admin:agents_run_change", args=[run.pk]),
        "at": moment(run.created_at),
        "model": gettext("forked from checkpoint %(forked_from_sequence)s")
        % {"forked_from_sequence": run.forked_from_sequence}
        if is_fork
        else "",
        "version": f"v{run.version.number}" if run.version else "",
    }
