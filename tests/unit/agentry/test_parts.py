"""The parts that need no server: streams of bytes, the login file, hostile text, the story."""

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentry
from agentry.cli.commands.runs import cost_of
from agentry.cli.documents.places import read_yaml
from agentry.cli.live.lines import told
from agentry.cli.live.story import Story
from agentry.cli.output import seconds_ago
from agentry.cli.terminal import escaped, one_line, plain
from agentry.client.errors import from_problem
from agentry.client.feed import Feed
from agentry.client.flow import Origin, Reply, problem_of, retry_after
from agentry.client.origin import (
    LoginFile,
    StoredContext,
    clean_url,
    find,
    read_logins,
    write_logins,
)
from agentry.client.records import Delta, Event, Run
from agentry.client.sse import SseParser

STREAM = (
    b"retry: 2000\r\n\r\n: heartbeat\n\nid: 1\nevent: run.note\ndata: {\"a\":\ndata: 1}\n\n"
    b"event: end\rdata: {}\r\rid: 2\ndata: cut o"
)  # fmt: skip


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12))
def test_a_stream_reads_the_same_however_it_is_cut(places: list[int]) -> None:
    cuts = [0, *sorted(set(places)), len(STREAM)]
    parser = SseParser()

    found = [
        (sent.event, sent.id, sent.data)
        for start, end in pairwise(cuts)
        for sent in parser.feed(STREAM[start:end])
    ]

    assert found == [("run.note", "1", '{"a":\n1}'), ("end", None, "{}")]


def test_an_endless_event_is_refused() -> None:
    parser = SseParser()

    for _ in range(16):
        parser.feed(b"data: " + b"x" * 1_000_000)

    with pytest.raises(agentry.UnexpectedReply, match="larger than"):
        parser.feed(b"x" * 1_000_000)


def _sent(*sequences: int) -> bytes:
    return b"".join(
        f'id: {each}\ndata: {{"sequence": {each}, "kind": "k"}}\n\n'.encode() for each in sequences
    )


RUN = "0199a8e2-5b1c-7000-8000-000000000001"


def _sequences(feed: Feed, content: bytes) -> list[int]:
    return [item.sequence for item in feed.receive(content) if isinstance(item, Event)]


def test_repeated_events_are_left_out_and_holes_break_the_stream_once() -> None:
    feed = Feed(RUN, after=0, patience_seconds=1)
    origin = Origin(url="http://x", workspace="lab")

    assert _sequences(feed, _sent(1, 2, 2, 1, 3, 5, 6)) == [1, 2, 3]
    broken = feed.is_broken
    assert feed.request(origin).headers["last-event-id"] == "3"
    assert (broken, feed.is_broken) == (True, False)
    # The server says it again: it has no event 4 any more.
    assert _sequences(feed, _sent(5, 6)) == [5, 6]


def test_a_broken_event_is_a_sentence() -> None:
    feed = Feed(RUN, after=0, patience_seconds=1)

    with pytest.raises(agentry.UnexpectedReply, match="something else than an event"):
        feed.receive(b"id: 1\ndata: nonsense\n\n")


def _environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"AGENTRY_CONFIG_DIR": str(tmp_path), **more}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    contexts = {
        "home": StoredContext(url="http://home", token="agk_home", workspace="lab"),
        "work": StoredContext(url="https://work", token="agk_work"),
    }
    write_logins(path, LoginFile(current="home", contexts=contexts))
    return path


def test_the_login_file_is_the_last_resort(stored: Path, tmp_path: Path) -> None:
    found = find(environ=_environment(tmp_path))
    assert (found.url, found.token, found.workspace) == ("http://home", "agk_home", "lab")
    assert found.sources["token"] == str(stored)

    found = find(environ=_environment(tmp_path, AGENTRY_TOKEN="agk_env"), workspace="other")
    assert (found.token, found.workspace) == ("agk_env", "other")

    found = find(environ=_environment(tmp_path, AGENTRY_CONTEXT="work"))
    assert (found.url, found.token) == ("https://work", "agk_work")


def test_a_stored_token_goes_only_where_it_was_stored_for(stored: Path, tmp_path: Path) -> None:
    assert find(url="http://elsewhere", environ=_environment(tmp_path)).token == ""
    assert find(environ=_environment(tmp_path, AGENTRY_URL="http://elsewhere")).token == ""
    assert find(url="http://home/api/v1/", environ=_environment(tmp_path)).token == "agk_home"


def test_a_named_context_is_meant(stored: Path, tmp_path: Path) -> None:
    environment = _environment(tmp_path, AGENTRY_URL="http://x", AGENTRY_TOKEN="agk_env")

    assert find(context="work", environ=environment).token == "agk_work"
    with pytest.raises(agentry.ConfigurationError, match="There is no context 'nowhere'"):
        find(context="nowhere", environ=environment)


def test_a_login_file_others_can_read_is_refused(stored: Path) -> None:
    stored.chmod(0o640)

    with pytest.raises(agentry.ConfigurationError, match="chmod 600"):
        read_logins(stored)


def test_a_broken_login_file_is_a_sentence(stored: Path) -> None:
    stored.write_text(json.dumps({"contexts": []}))

    with pytest.raises(agentry.ConfigurationError, match="is not a login file"):
        read_logins(stored)


@pytest.mark.parametrize("url", ["", "agentry.test", "ftp://x", "http://", "http://me:pw@x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(agentry.ConfigurationError):
        clean_url(url)


def test_tokens_are_not_shown_by_accident() -> None:
    assert "agk_" not in repr(Origin(url="http://x", token="agk_secret"))
    assert "agk_" not in repr(StoredContext(url="http://x", token="agk_secret"))


@given(st.text())
def test_nothing_a_terminal_obeys_is_left(text: str) -> None:
    left = plain(text)

    assert not any(
        (ord(each) < 32 and each not in "\n\t") or 127 <= ord(each) < 160 for each in left
    )
    assert plain(left) == left
    assert "\n" not in one_line(text)
    assert not any(127 <= ord(each) < 160 for each in escaped(text))


def test_whole_sequences_are_taken_out() -> None:
    hostile = (
        "a\x1b[31mb\x1b]8;;http://evil\x1b\\c\x1b]0;t\x07d\x9b2Je\x1bPq\x1b\\f\x1b(Bg\u202eh\rz"
    )

    assert plain(hostile) == "abcdefghz"


def test_problem_documents_of_both_shapes_have_fields() -> None:
    listed = from_problem(400, {"errors": [{"loc": ["a", 0], "msg": "no"}, "odd"]})
    mapped = from_problem(400, {"errors": {"a": ["no", "never"], "b": "x"}})

    assert listed.fields == {"a.0": ["no"], "": ["odd"]}
    assert mapped.fields == {"a": ["no", "never"], "b": ["x"]}


def test_answers_that_are_no_problem_documents_are_errors_too() -> None:
    html = problem_of(Reply(status=502, headers={}, content=b"<html>"))
    moved = problem_of(Reply(status=301, headers={"location": "https://x"}, content=b""))

    assert (type(html), str(html)) == (agentry.ServerError, "The server answered 502.")
    assert isinstance(moved, agentry.UnexpectedReply)
    assert "https://x" in str(moved)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("", None), ("3", 3.0), ("-3", 0.0), ("soon", None), ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0)],
)
def test_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("012", "012"), ("1:30", "1:30"), ("0x1F", "0x1F"), ("1_000", "1_000"),
        ("5", 5), ("-5", -5), ("0.5", 0.5), ("1e3", 1000.0), ("true", True), ("~", None),
        ("'5'", "5"), ("2026-11-22", "2026-11-22"), (".", "."), ("e5", "e5"), ("|\n  x\n", "x\n"),
    ],
)  # fmt: skip
def test_scalars_mean_what_a_reader_sees(text: str, value: object) -> None:
    (document,) = read_yaml(f"key: {text}\n", "f")

    assert document.plain() == {"key": value}


def test_ages_are_short() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    ages = ["2026-11-22T11:59:48Z", "2026-11-22T11:30:00+00:00", "2026-11-20T12:00:00", None, "x"]

    assert [seconds_ago(each, now) for each in ages] == ["12s", "30m", "2d", "-", "x"]


def _story(*events: tuple[str, dict[str, Any]], **run: Any) -> list[str]:
    story = Story()
    begun = Run(id="r", state="running", agent="a", input="Do")
    lines = story.begin(begun, depth=0)
    for number, (kind, payload) in enumerate(events, start=1):
        if kind == "delta":
            lines += story.see("r", Delta(text=payload["text"]))
        else:
            lines += story.see("r", Event(sequence=number, kind=kind, payload=payload))
    lines += story.end(Run(**{"id": "r", "state": "succeeded", "agent": "a", **run}))
    return [text for line in lines for text in told(line)][1:]


def test_the_streamed_text_wins_over_its_preview_only_when_it_is_whole() -> None:
    whole = _story(
        ("step.started", {}), ("delta", {"text": "Long text, all of it."}),
        ("step.model", {"text": "Long te…"}), output="Long text, all of it.",
    )  # fmt: skip
    broken = _story(
        ("step.started", {}), ("delta", {"text": "all of it."}),
        ("step.model", {"text": "Long te…"}), output="Long text, all of it.",
    )  # fmt: skip

    assert whole == ["Long text, all of it.", "✓ succeeded (0 steps)"]
    assert broken == ["Long te…", "Long text, all of it.", "✓ succeeded (0 steps)"]


def test_waits_and_retries_are_told() -> None:
    lines = _story(
        ("step.retry", {"sentence": "busy", "in_seconds": 2}),
        ("tool.parked", {"tool": "wait", "wait_kind": "timer"}),
        ("run.state", {"state": "waiting", "wait_kind": "approval", "reason": "pay"}),
        ("run.state", {"state": "paused"}),
        ("run.control", {"control": "cancel", "by": "ada"}),
        ("something.new", {"x": 1}),
        state="failed", reason="Broke.", cost_usd=Decimal("0.10"), cost_is_partial=True,
    )  # fmt: skip

    assert lines == [
        "· asks again: busy",
        "… wait waits for a timer",
        "… waits for an approval: pay; agentry runs why r",
        "… paused; agentry runs resume r",
        "· cancel asked for by ada",
        "✗ failed: Broke. (0 steps · ≥ $0.1)",
    ]


@pytest.mark.parametrize("code", ["step", "breakpoint"])
def test_a_run_that_is_held_says_how_to_let_it_go_and_where_to_look(code: str) -> None:
    story = Story("https://agents.example")
    story.begin(Run(id="r", state="running"), depth=0)
    payload = {"state": "paused", "error_code": code, "reason": "Before the model is asked."}

    lines = story.see("r", Event(sequence=1, kind="run.state", payload=payload))

    page = "https://agents.example/admin/agents/run/r/change/"
    assert [line.text for line in lines] == [
        "held: Before the model is asked.",
        f"let it go: agentry step r · look: agentry debug r · {page}",
    ]


def test_a_viewer_without_sight_of_payloads_still_sees_the_end() -> None:
    story = Story()
    story.begin(Run(id="r", state="running"), depth=0)

    for kind in ("run.state", "step.started", "step.model", "tool.planned", "tool.settled"):
        story.see("r", Event(sequence=1, kind=kind, payload=None))

    assert [line.text for line in story.end(Run(id="r", state="succeeded"))] == [
        "succeeded (0 steps)"
    ]


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ("0.00000000", "$0.00"),
        ("1.5", "$1.50"),
        ("100.00", "$100.00"),
        ("0.01230000", "$0.0123"),
        (None, "$0.00"),
    ],
)
def test_a_cost_has_cents_and_what_is_smaller_only_when_there_is_any(
    cost: str | None, shown: str
) -> None:
    assert cost_of({"cost_usd": cost}) == shown
    assert cost_of({"cost_usd": cost, "cost_is_partial": True}) == f"≥ {shown}"
