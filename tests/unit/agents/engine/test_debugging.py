"""Where a run is held, and what one word lets go: pure decisions."""

from decimal import Decimal

import pytest

from agents.contracts import Message, Role, RunState, TextPart, ToolCallPart, ToolResponsePart
from agents.engine.debugging import (
    BreakKind,
    Breakpoint,
    Debug,
    Go,
    HeldCall,
    Hold,
    Next,
    Passed,
    Place,
    StepMode,
    judge,
    let_go,
    place_of,
)
from agents.engine.history import message_of, with_arguments, with_text
from agents.engine.loop import Added, AskModel, advance
from agents.engine.state import EngineState, Limits, Phase, Verdict
from plugins.contracts import CallState, EffectClass
from plugins.ledger import may_be_held

NOTHING = Passed()


def model(iteration: int = 0, **fields: object) -> Place:
    return Place(next=Next.MODEL, agent="writer", iteration=iteration, **fields)  # type: ignore[arg-type]


def tools(*names: str, begun: tuple[int, ...] = (), **fields: object) -> Place:
    calls = tuple(
        HeldCall(index=index, tool=name, arguments='{"q":"Blue"}', has_begun=index in begun)
        for index, name in enumerate(names)
    )
    return Place(
        next=Next.TOOLS, agent="writer", iteration=1, asked_position=4, calls=calls, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def at(*names: str, step: StepMode = StepMode.OFF) -> Debug:
    points = [name.split(":", 1) for name in names]
    return Debug(
        step=step,
        breakpoints=tuple(Breakpoint(kind=BreakKind(kind), value=value) for kind, value in points),
    )


@pytest.mark.parametrize(
    ("mode", "at_model", "at_tools"),
    [
        (StepMode.OFF, False, False),
        (StepMode.MODEL, True, False),
        (StepMode.TOOL, False, True),
        (StepMode.BOTH, True, True),
    ],
)
def test_a_step_mode_holds_what_it_names(mode: StepMode, at_model: bool, at_tools: bool) -> None:
    assert isinstance(judge(Debug(step=mode), NOTHING, model()), Hold) is at_model
    assert isinstance(judge(Debug(step=mode), NOTHING, tools("bash")), Hold) is at_tools
    end = Place(next=Next.END, agent="writer", iteration=3)
    assert judge(Debug(step=mode), NOTHING, end) == Go()


@pytest.mark.parametrize(
    ("point", "place", "hits"),
    [
        ("tool:ba*", tools("view", "bash"), "about to make the call of bash."),
        ("tool:ba*", tools("view"), ""),
        (
            "tool:view",
            tools("view", "view", "view", "view"),
            "4 calls (view, view, view and 1 more)",
        ),
        ("agent:wri*", model(), "writer is about to begin."),
        ("agent:wri*", model(1), ""),
        ("agent:other", model(), ""),
        ("cost:0.5", model(1, cost_usd=Decimal("0.6")), "the run has cost $0.6."),
        ("cost:0.5", model(1, cost_usd=Decimal("0.5")), ""),
        ("cost:0.5", model(1, cost_is_partial=True), "no known price"),
        ("text:BLUE", tools("bash"), "the arguments of the call of bash contain it."),
        ("text:sea", tools("bash", said="By the Sea"), "the model's answer contains it."),
        ("text:sea", tools("bash", "view", begun=(1,), said="By the Sea"), ""),
        ("text:sea", model(1, said="By the sea"), "the model's answer contains it."),
        ("text:sea", Place(next=Next.END, agent="w", iteration=2, said="sea"), "contains it."),
        ("cost:0", Place(next=Next.END, agent="w", iteration=2, cost_usd=Decimal(1)), ""),
    ],
)
def test_a_breakpoint_hits_what_it_names(point: str, place: Place, hits: str) -> None:
    answer = judge(at(point), NOTHING, place)
    if hits:
        assert isinstance(answer, Hold)
        assert (hits in answer.sentence, answer.breakpoint) == (True, point)
    else:
        assert isinstance(answer, Go)


def test_a_step_lets_the_calls_of_a_turn_go_one_by_one() -> None:
    debug, place, passed = Debug(step=StepMode.TOOL), tools("a", "b", "c"), NOTHING
    gone = []
    for _ in range(3):
        assert isinstance(judge(debug, passed, place), Hold)
        passed = let_go(debug, passed, place, is_step=True)
        answer = judge(debug, passed, place)
        assert isinstance(answer, Go)
        gone.append(answer.indexes)
        begun = tuple(range(len(gone)))
        place = tools("a", "b", "c", begun=begun)
        # What has an outcome is open no more.
        left = tuple(call for call in place.calls if not call.has_begun)
        place = Place(next=Next.TOOLS, agent="writer", iteration=1, asked_position=4, calls=left)
    assert gone == [(0,), (1,), (2,)]
    assert passed.indexes == (0, 1, 2)


def test_calls_under_way_go_on_while_others_are_held() -> None:
    debug = Debug(step=StepMode.TOOL)
    assert judge(debug, NOTHING, tools("a", "b", begun=(0,))) == Go(indexes=(0,))
    assert judge(debug, NOTHING, tools("a", "b", begun=(0, 1))) == Go(indexes=(0, 1))
    assert judge(Debug(), NOTHING, tools("a", "b", begun=(0,))) == Go(indexes=(0, 1))


def test_going_on_lets_the_whole_place_go_and_no_other() -> None:
    debug, place = Debug(step=StepMode.BOTH), tools("a", "b")
    passed = let_go(debug, NOTHING, place, is_step=False)
    assert judge(debug, passed, place) == Go(indexes=(0, 1))
    assert let_go(debug, passed, place, is_step=True).indexes is None
    assert isinstance(judge(debug, passed, model(2)), Hold)
    passed = let_go(debug, passed, model(2), is_step=False)
    assert judge(debug, passed, model(2)) == Go()
    assert isinstance(judge(debug, passed, model(3)), Hold)


def test_a_step_where_nothing_is_set_holds_at_whatever_comes_next() -> None:
    for place in (None, model()):
        passed = let_go(Debug(), NOTHING, place, is_step=True)
        assert (passed.iteration, passed.is_once) == (0, True)
        assert isinstance(judge(Debug(), passed, tools("a")), Hold)
        assert isinstance(judge(Debug(), passed, model(1)), Hold)
    assert not let_go(Debug(step=StepMode.MODEL), NOTHING, model(), is_step=True).is_once
    assert let_go(Debug(step=StepMode.MODEL), NOTHING, tools("a"), is_step=True).is_once


def test_a_cost_breakpoint_is_spent_by_going_on_and_a_higher_one_is_not() -> None:
    debug = at("cost:1", "cost:5", "tool:a")
    place = model(1, cost_usd=Decimal(2))
    passed = let_go(debug, NOTHING, place, is_step=False)
    assert passed.spent == ("cost:1",)
    assert let_go(debug, passed, place, is_step=False).spent == ("cost:1",)
    assert judge(debug, passed, model(2, cost_usd=Decimal(3))) == Go()
    dear = judge(debug, passed, model(2, cost_usd=Decimal(6)))
    assert isinstance(dear, Hold)
    assert dear.breakpoint == "cost:5"


def test_text_that_was_let_go_does_not_hold_the_rest_of_its_turn() -> None:
    debug, place = at("text:sea"), tools("a", "b", said="The sea")
    passed = let_go(debug, NOTHING, place, is_step=True)
    rest = Place(
        next=Next.TOOLS, agent="writer", iteration=1, asked_position=4, calls=place.calls[1:],
        said="The sea",
    )  # fmt: skip
    answer = judge(debug, Passed(asked_position=4, indexes=passed.indexes), rest)
    assert answer == Go(indexes=(1,))


def test_the_place_of_a_state() -> None:
    state = EngineState(phase=Phase.TOOLS, iteration=2, asked_position=3, cost_usd=Decimal(1))
    place = place_of(state, agent="a", said="x")
    assert (place.next, place.iteration, place.asked_position) == (Next.TOOLS, 2, 3)
    assert place_of(EngineState(phase=Phase.DONE), agent="a").next is Next.END
    assert place_of(EngineState(), agent="a").next is Next.MODEL


def test_a_word_from_a_person_makes_a_run_that_was_over_go_on() -> None:
    over = EngineState(phase=Phase.DONE, message_count=2, verdict=Verdict(state=RunState.SUCCEEDED))
    step = advance(over, Added(text="And?"), Limits())
    assert (step.state.phase, step.state.verdict, step.state.message_count) == (
        Phase.MODEL,
        None,
        3,
    )
    assert (step.messages[0].text, step.command) == ("And?", AskModel())


@pytest.mark.parametrize(
    "state", [EngineState(), EngineState(phase=Phase.TOOLS, message_count=2, open_calls=(0,))]
)
def test_a_word_has_no_place_before_the_beginning_or_between_calls(state: EngineState) -> None:
    with pytest.raises(ValueError, match="cannot have one"):
        advance(state, Added(text="And?"), Limits())


def test_messages_are_changed_by_making_others() -> None:
    asked = Message(
        role=Role.ASSISTANT,
        parts=(
            TextPart("Two calls."),
            ToolCallPart(id="1", name="a", arguments={"x": 1}, signature="s"),
            ToolCallPart(id="2", name="b", arguments={"y": 1}, signature="t"),
        ),
    )
    changed = with_arguments(asked, {1: {"y": 2}})
    assert changed.parts[:2] == asked.parts[:2]
    assert changed.tool_calls[1] == ToolCallPart(id="2", name="b", arguments={"y": 2})
    result = Message(role=Role.TOOL, parts=(ToolResponsePart("1", "old", True),))
    assert with_text(result, "new").parts == (ToolResponsePart("1", "new", True),)
    said = Message(role=Role.USER, parts=(TextPart("old"),))
    assert with_text(said, "new").parts == (TextPart("new"),)
    assert message_of("user", [{"type": "text", "content": "old"}]) == said


@pytest.mark.parametrize(
    ("state", "effect", "is_held"),
    [
        (CallState.PLANNED, EffectClass.IRREVERSIBLE, True),
        (CallState.APPROVED, EffectClass.IRREVERSIBLE, True),
        (CallState.CLAIMED, EffectClass.KEYED, True),
        (CallState.DISPATCHED, EffectClass.READ, True),
        (CallState.DISPATCHED, EffectClass.KEYED, False),
        (CallState.WAITING, EffectClass.READ, False),
    ],
)
def test_what_may_have_happened_is_not_held(
    state: CallState, effect: EffectClass, is_held: bool
) -> None:
    assert may_be_held(state, effect) is is_held
