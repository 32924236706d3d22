"""Words of runs: found by the index on PostgreSQL, bounded where very many runs hold them."""

import pytest
from django.db import connection

from agents.models import Run
from agents.selectors import run_words
from agents.selectors.run_filters import filters_from
from agents.selectors.run_finding import runs_found
from core import clock
from governance.access import actor_of_user
from tests.factories.agents import make_run
from tests.factories.governance import Cast

pytestmark = pytest.mark.django_db


def ended(cast: Cast, text: str, output: str = "") -> Run:
    run = make_run(cast.acme, text=text)
    Run.objects.filter(pk=run.pk).update(state="succeeded", output=output, finished_at=clock.now())
    return run


def search(cast: Cast, text: str) -> tuple[set[object], bool]:
    actor = actor_of_user(cast.users["operator"])
    found = runs_found(actor, filters_from({"q": [text]}))
    return set(found.runs.values_list("pk", flat=True)), found.is_bounded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Send it, twice", ("send", "it", "twice")),
        ("/srv/data/report_2.csv", ("srv", "data", "report", "2", "csv")),
        ("same SAME", ("same",)),
        ("?!", ()),
        ("Größe 東京", ("größe", "東京")),
    ],
)
def test_words_are_letters_and_digits(text: str, words: tuple[str, ...]) -> None:
    assert run_words.words_of(text) == words


def test_all_words_are_found_by_their_beginnings_in_input_or_output(cast: Cast) -> None:
    first = ended(cast, "Read /srv/data/report.csv", "It has <b>forty-two</b> rows & a Größe.")
    second = make_run(cast.acme, text="Read the report to me")
    ended(cast, "Something else")

    for text, expected in {
        "report": {first.pk, second.pk},
        "repo": {first.pk, second.pk},
        "report two": {first.pk},
        "forty rows read": {first.pk},
        "GRÖSSE": set(),
        "größe": {first.pk},
        "report nothing": set(),
    }.items():
        assert search(cast, text) == (expected, False), text


def test_marks_of_the_query_language_are_no_commands(cast: Cast) -> None:
    run = ended(cast, "It's 100% done")

    assert search(cast, "it's | !done:* & (100%)") == ({run.pk}, False)
    assert search(cast, "'); DROP") == (set(), False)


@pytest.mark.postgres
@pytest.mark.parametrize("near", [1, 3, 50])
def test_of_a_common_word_the_newest_are_found(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    monkeypatch.setattr(run_words, "MANY", 2)
    monkeypatch.setattr(run_words, "_WINDOWS", (near, 4))
    runs = [ended(cast, f"the same word {number}") for number in range(5)]
    live = make_run(cast.acme, text="the same word")
    others = [ended(cast, "another") for _ in range(2)]

    assert search(cast, "same") == ({runs[4].pk, runs[3].pk, live.pk}, True)
    assert search(cast, "another") == ({other.pk for other in others}, False)


@pytest.mark.postgres
def test_the_words_of_the_search_are_those_of_the_index(cast: Cast) -> None:
    """Said otherwise, PostgreSQL would not take the one for the other."""
    with connection.cursor() as cursor:
        cursor.execute(run_words.INDEX)
        cursor.execute("SET LOCAL enable_seqscan = off")  # an empty table is read at once
        cursor.execute("SET LOCAL enable_indexscan = off")
        cursor.execute(
            f"EXPLAIN SELECT id FROM agents_run WHERE {run_words._ENDED} "
            f"AND {run_words._WORDS} @@ to_tsquery('simple', 'needle:*')"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "Bitmap Index Scan on run_words" in plan


@pytest.mark.postgres
def test_a_search_leaves_the_plans_of_others_alone(cast: Cast) -> None:
    search(cast, "anything")

    with connection.cursor() as cursor:
        cursor.execute("SHOW cpu_operator_cost")
        assert cursor.fetchone() == ("0.0025",)
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("on",)
