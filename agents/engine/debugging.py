"""Where a run is held for a person: step mode, breakpoints, and what was let go already.

Pure, like the loop: the same run is held at the same place by every worker. A run that is held is
paused and has no worker. What a person lets go is named by its place in the run, so that it goes
once, also when the worker dies between the word and the call.
"""

from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeAlias

import msgspec

from agents.engine.state import EngineState, Phase

MAX_BREAKPOINTS = 20
MAX_VALUE_CHARS = 200


class StepMode(StrEnum):
    """Before what a run is held every time."""

    OFF = "off"
    MODEL = "model"
    TOOL = "tool"
    BOTH = "both"


class Scope(StrEnum):
    """Whose calls are held: this run's, or also those of all runs it brings about."""

    RUN = "run"
    TREE = "tree"


class BreakKind(StrEnum):
    TOOL = "tool"  # a call of a tool of this name or pattern is about to begin
    AGENT = "agent"  # an agent of this name or pattern is about to ask its first question
    COST = "cost"  # the run has cost more than this many dollars
    TEXT = "text"  # what the model said, or the arguments of a call, contain this


class Breakpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`value` is a name or glob pattern, dollars, or plain text in which case does not matter."""

    kind: BreakKind
    value: str

    @property
    def name(self) -> str:
        return f"{self.kind.value}:{self.value}"


class Debug(msgspec.Struct, frozen=True, kw_only=True):
    """What people have set; copied to children where `scope` is the tree."""

    step: StepMode = StepMode.OFF
    breakpoints: tuple[Breakpoint, ...] = ()
    scope: Scope = Scope.RUN


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has let go, of the place where the run stands.

    `iteration` counts the answers before it. `asked_position` and `indexes` name tool calls; None
    for all of a turn. `spent` are breakpoints that hit once and are done. `is_once`: the run is to
    be held before whatever comes next, whatever the step mode.
    """

    iteration: int = -1
    asked_position: int = -1
    indexes: tuple[int, ...] | None = ()
    spent: tuple[str, ...] = ()
    is_once: bool = False
    by: str = ""  # who changed the debugger last, and
    deed: str = ""  # what they did, as a sentence without its subject


class Next(StrEnum):
    """What a run would do now."""

    MODEL = "model"
    TOOLS = "tools"
    END = "end"


class HeldCall(msgspec.Struct, frozen=True, kw_only=True):
    """An open call. `has_begun`: it is beyond holding, or was let go by its state."""

    index: int
    tool: str
    arguments: str = ""
    has_begun: bool = False


def arguments_text(arguments: object) -> str:
    """Return arguments as the text that breakpoints look into."""
    return msgspec.json.encode(arguments).decode()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands. `said` is the text of the answer that led here, empty without one."""

    next: Next
    agent: str
    iteration: int
    asked_position: int = -1
    calls: tuple[HeldCall, ...] = ()
    said: str = ""
    cost_usd: Decimal = Decimal(0)
    cost_is_partial: bool = False


def place_of(
    state: EngineState, *, agent: str, said: str = "", calls: tuple[HeldCall, ...] = ()
) -> Place:
    """Return where a run stands; `said` is the last message when that is the model's answer."""
    at = {Phase.MODEL: Next.MODEL, Phase.TOOLS: Next.TOOLS, Phase.DONE: Next.END}
    return Place(
        next=at[state.phase],
        agent=agent,
        iteration=state.iteration,
        asked_position=state.asked_position,
        calls=calls,
        said=said,
        cost_usd=state.cost_usd,
        cost_is_partial=state.cost_is_partial,
    )


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Stop here. `breakpoint` names what hit, nothing when it is the step mode's."""

    sentence: str
    breakpoint: str = ""


class Go(msgspec.Struct, frozen=True, kw_only=True):
    """Go on; before tools with these calls only."""

    indexes: tuple[int, ...] = ()


Answer: TypeAlias = Hold | Go


def judge(debug: Debug, passed: Passed, place: Place) -> Answer:
    """Say whether the run is held at `place`, or what of it may go."""
    if place.next is Next.TOOLS:
        return _tools(debug, passed, place)
    if passed.iteration == place.iteration:
        return Go()
    return _hit(debug, passed, place, ()) or Go()


def _tools(debug: Debug, passed: Passed, place: Place) -> Answer:
    every = tuple(call.index for call in place.calls)
    fresh = tuple(call for call in place.calls if not _has_passed(passed, place, call))
    hold = _hit(debug, passed, place, fresh) if fresh else None
    if hold is None:
        return Go(indexes=every)
    held = {call.index for call in fresh}
    going = tuple(index for index in every if index not in held)
    return Go(indexes=going) if going else hold


def _has_passed(passed: Passed, place: Place, call: HeldCall) -> bool:
    if call.has_begun:
        return True
    if passed.asked_position != place.asked_position:
        return False
    return passed.indexes is None or call.index in passed.indexes


def _hit(debug: Debug, passed: Passed, place: Place, fresh: tuple[HeldCall, ...]) -> Hold | None:
    for point in debug.breakpoints:
        if point.name in passed.spent:
            continue
        if place.next is Next.END and point.kind is not BreakKind.TEXT:
            continue
        if why := _why(point, passed, place, fresh):
            return Hold(sentence=f"Breakpoint {point.name}: {why}", breakpoint=point.name)
    is_stepped = passed.is_once or debug.step is StepMode.BOTH
    if place.next is Next.MODEL and (is_stepped or debug.step is StepMode.MODEL):
        return Hold(sentence=f"Held before model call {place.iteration + 1} (step mode).")
    if place.next is Next.TOOLS and (is_stepped or debug.step is StepMode.TOOL):
        return Hold(sentence=f"Held before {_named(fresh)} (step mode).")
    return None


def _why(point: Breakpoint, passed: Passed, place: Place, fresh: tuple[HeldCall, ...]) -> str:
    """Say why a breakpoint hits here, or nothing."""
    match point.kind:
        case BreakKind.TOOL:
            hits = tuple(call for call in fresh if fnmatchcase(call.tool, point.value))
            return f"the run is about to make {_named(hits)}." if hits else ""
        case BreakKind.AGENT:
            is_first = place.next is Next.MODEL and place.iteration == 0
            is_meant = is_first and fnmatchcase(place.agent, point.value)
            return f"{place.agent} is about to begin." if is_meant else ""
        case BreakKind.COST:
            return _cost(Decimal(point.value), place)
        case _:
            return _text(point.value.casefold(), passed, place, fresh)


def _cost(limit: Decimal, place: Place) -> str:
    if place.cost_usd > limit:
        return f"the run has cost ${place.cost_usd}."
    if place.cost_is_partial:
        return "a model that answered has no known price, so the cost may be above it already."
    return ""


def _text(wanted: str, passed: Passed, place: Place, fresh: tuple[HeldCall, ...]) -> str:
    hits = tuple(call for call in fresh if wanted in call.arguments.casefold())
    if hits:
        return f"the arguments of {_named(hits)} contain it."
    has_gone_on = place.next is Next.TOOLS and (
        len(fresh) < len(place.calls) or passed.asked_position == place.asked_position
    )
    if not has_gone_on and wanted in place.said.casefold():
        return "the model's answer contains it."
    return ""


def _named(calls: tuple[HeldCall, ...]) -> str:
    """Name calls in a sentence, the first three by their tools."""
    names = [call.tool for call in calls[:3]]
    more = len(calls) - len(names)
    listed = ", ".join(names) + (f" and {more} more" if more else "")
    return f"the call of {listed}" if len(calls) == 1 else f"{len(calls)} calls ({listed})"


def let_go(debug: Debug, passed: Passed, place: Place | None, *, is_step: bool) -> Passed:
    """Return what has passed once a person lets the run go on from `place`.

    A step lets one model call go, or of a turn's calls the first that is held; going on lets all
    of them. Breakpoints that hit once are spent. None: the run has not begun.
    """
    spent = passed.spent
    if place is not None:
        spent += tuple(
            point.name
            for point in debug.breakpoints
            if point.kind is BreakKind.COST
            and point.name not in spent
            and _cost(Decimal(point.value), place)
        )
    is_tools = place is not None and place.next is Next.TOOLS
    is_covered = debug.step in {StepMode.BOTH, StepMode.TOOL if is_tools else StepMode.MODEL}
    is_once = is_step and not is_covered
    if place is None:
        return Passed(iteration=0, spent=spent, is_once=is_once)
    if place.next is not Next.TOOLS:
        return Passed(iteration=place.iteration, spent=spent, is_once=is_once)
    indexes: tuple[int, ...] | None = None
    if is_step:
        here = passed.indexes if passed.asked_position == place.asked_position else ()
        fresh = [call for call in place.calls if not _has_passed(passed, place, call)]
        indexes = None if here is None else (*here, *(call.index for call in fresh[:1]))
    return Passed(
        asked_position=place.asked_position, indexes=indexes, spent=spent, is_once=is_once
    )
