"""Two runs side by side: what is aligned with what, and who sees how much of it."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agents.admin.comparison import Comparison
from agents.models import Run
from tests.factories.agents import make_run, say
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser
from tests.integration.console.run_kit import answer, asked

pytestmark = pytest.mark.django_db

LIST = "/admin/agents/run/"


def address(left: Run, right: Run) -> str:
    return reverse("admin:agents_run_compare", args=[left.pk, right.pk])


def compared(client: Client, left: Run, right: Run) -> Comparison:
    found: Comparison = client.get(address(left, right)).context["comparison"]
    return found


def played(cast: Cast, *answers: tuple[str, list[dict[str, Any]]], text: str = "go") -> Run:
    run = make_run(cast.acme, text=text)
    say(run, 0, "user", text)
    for number, (words, calls) in enumerate(answers, start=1):
        answer(run, number, words, *calls)
    return Run.objects.get(pk=run.pk)


def changed(comparison: Comparison) -> list[str]:
    return [pair.title for block in comparison.blocks if not block.is_same for pair in block.pairs]


def test_runs_that_did_the_same_differ_in_nothing(cast: Cast, browse: Browser) -> None:
    steps = [("I look.", [asked("view", path="a.md")]), ("Done.", [])]
    left, right = played(cast, *steps), played(cast, *steps)

    found = compared(browse("operator"), left, right)

    assert found.differences == 0
    assert [(block.is_same, len(block.pairs)) for block in found.blocks] == [(True, 3)]


def test_other_arguments_are_shown_line_by_line(cast: Cast, browse: Browser) -> None:
    left = played(cast, ("I look.", [asked("view", path="a.md")]), ("Done.", []))
    right = played(cast, ("I look.", [asked("view", path="b.md")]), ("Done.", []))

    found = compared(browse("operator"), left, right)

    assert changed(found) == ["Asks for view"]
    (call,) = found.blocks[1].pairs[0].calls
    assert [(line.sign, line.text) for line in call.arguments if line.kind != "place"] == [
        ("-", '{"path": "a.md"}'),
        ("+", '{"path": "b.md"}'),
    ]
    assert found.blocks[1].pairs[0].is_text_same


def test_a_step_more_leaves_the_steps_behind_it_aligned(cast: Cast, browse: Browser) -> None:
    look, write = ("I look.", [asked("view", path="a")]), ("I write.", [asked("write", path="b")])
    left, right = played(cast, look, ("Done.", [])), played(cast, look, write, ("Done.", []))

    found = compared(browse("operator"), left, right)

    assert changed(found) == ["Asks for write"]
    (pair,) = found.blocks[1].pairs
    assert pair.left is None
    assert pair.right is not None
    assert [line.sign for line in pair.calls[0].arguments if line.kind == "added"] == ["+"]
    assert [block.is_same for block in found.blocks] == [True, False, True]


def test_what_a_fork_shares_with_its_origin_is_one_number(cast: Cast, browse: Browser) -> None:
    origin = played(cast, ("I look.", []), ("Done.", []))
    fork = make_run(cast.acme)
    Run.objects.filter(pk=fork.pk).update(
        prefix_run=origin, prefix_length=2, forked_from_sequence=1, message_count=3
    )
    answer(fork, 2, "Done otherwise.")
    fork.refresh_from_db()
    client = browse("operator")

    found = compared(client, origin, fork)
    assert found.shared == 2
    assert changed(found) == ["Answer"]
    page = client.get(reverse("admin:agents_run_change", args=[fork.pk])).content.decode()
    assert address(origin, fork) in page
    other = client.get(reverse("admin:agents_run_change", args=[origin.pk])).content.decode()
    assert "Compare with origin" not in other


def test_totals_tell_both_sides_and_the_difference(cast: Cast, browse: Browser) -> None:
    left, right = played(cast), played(cast)
    Run.objects.filter(pk=left.pk).update(input_tokens=100, cost_usd="0.5", iteration=3)
    Run.objects.filter(pk=right.pk).update(input_tokens=350, cost_usd="0.25", iteration=3)

    totals = {total.name: total for total in compared(browse("operator"), left, right).totals}

    assert (totals["Tokens in"].left, totals["Tokens in"].right) == ("100", "350")
    assert totals["Tokens in"].delta == "+250"
    assert totals["Cost"].delta == "−$0.2500"
    assert totals["Model calls"].delta == "same"
    Run.objects.filter(pk=left.pk).update(cost_is_partial=True)
    partial = compared(browse("operator"), left, right).totals
    assert next(total.delta for total in partial if total.name == "Cost") == ""


def test_a_viewer_compares_shapes_and_figures_without_a_word(cast: Cast, browse: Browser) -> None:
    left = played(cast, ("pineapple one", [asked("view", path="pineapple")]), text="pineapple")
    right = played(cast, ("pineapple two", [asked("ls", path="pineapple")]), text="pineapple")
    client = browse("viewer")

    page = client.get(address(left, right)).content.decode()

    assert "pineapple" not in page
    assert "are hidden" in page
    assert changed(compared(client, left, right)) == ["Asks for view"]


def test_two_runs_chosen_in_the_list_are_compared(cast: Cast, browse: Browser) -> None:
    one, two, three = (make_run(cast.acme) for _ in range(3))
    client = browse("viewer")

    def choose(*runs: Run) -> Any:
        form = {"action": "compare_selected", "_selected_action": [str(run.pk) for run in runs]}
        return client.post(LIST, form)

    assert choose(two, one)["Location"] == address(one, two)
    for runs in ((one,), (one, two, three)):
        choose(*runs)
        assert "Two runs are compared with each other." in client.get(LIST).content.decode()


def test_hostile_words_stay_words(cast: Cast, browse: Browser) -> None:
    hostile = "<script>alert(1)</script>"
    left = played(cast, (hostile, [asked("view", path=hostile)]))
    right = played(cast, ("x", [asked("view", path="y")]))

    page = browse("operator").get(address(left, right)).content.decode()

    assert hostile not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
