"""Pages of runs: who sees what, who may act, and what those who come second are told."""

import pytest
from django.test import Client
from django.urls import reverse

from agents.contracts import RunState
from agents.models import Checkpoint, Message, Run
from agents.transitions import run_move
from core import clock
from core.ids import new_id
from tests.factories.agents import make_model, make_run
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

LIST = "/admin/agents/run/"


def address(run: Run, name: str = "change") -> str:
    return reverse(f"admin:agents_run_{name}", args=[run.pk])


def state(run: Run) -> str:
    run.refresh_from_db()
    return run.state


def said(client: Client, url: str) -> list[str]:
    """Return the messages of the page at `url`."""
    return [str(message) for message in client.get(url).context["messages"]]


def checkpointed(run: Run) -> None:
    """Give the run the history that its first step would have written."""
    now = clock.now()
    Message.objects.create(
        run=run, position=0, role="user", parts=[{"type": "text", "content": run.input}],
        created_at=now,
    )  # fmt: skip
    Checkpoint.objects.create(
        run=run, sequence=1, message_count=1, state={"phase": "model", "message_count": 1},
        created_at=now,
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(message_count=1)


def test_a_list_shows_only_runs_of_ones_workspaces(cast: Cast, browse: Browser) -> None:
    mine, foreign = make_run(cast.acme, text="mine"), make_run(cast.other, text="foreign")

    page = browse("operator").get(LIST).content.decode()

    assert address(mine) in page
    assert "mine" in page
    assert address(foreign) not in page
    assert "foreign" not in page


@pytest.mark.parametrize("name", ["change", "live", "pause", "cancel", "fork", "history"])
def test_a_run_of_another_workspace_is_not_there(cast: Cast, browse: Browser, name: str) -> None:
    foreign = make_run(cast.other, text="something secret")

    answer = browse("admin").get(address(foreign, name))

    assert answer.status_code in {302, 403, 404}
    assert b"something secret" not in answer.content


@pytest.mark.parametrize("name", ["change", "live", "pause"])
def test_a_run_that_does_not_exist_is_refused_the_same_way(browse: Browser, name: str) -> None:
    answer = browse("admin").get(reverse(f"admin:agents_run_{name}", args=[new_id()]))

    assert answer.status_code in {302, 403, 404}


def test_without_a_role_there_are_no_runs(browse: Browser) -> None:
    client = browse("nobody")

    assert client.get(LIST).status_code == 403
    overview = client.get("/admin/").content.decode()
    assert "nothing is shared with you yet" in overview
    assert "Newest runs" not in overview


def test_a_viewer_sees_that_a_run_happens_but_not_what_it_says(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme, text="the wording nobody else reads")
    checkpointed(run)
    viewer = browse("viewer")

    for url in (LIST, "/admin/", address(run), address(run, "live")):
        page = viewer.get(url).content.decode()
        assert "helper" in page
        assert "the wording nobody else reads" not in page, url
    assert "What was said is hidden" in viewer.get(address(run)).content.decode()


def test_a_reader_sees_the_conversation(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme, text="say it <b>plainly</b>")
    checkpointed(run)

    page = browse("operator").get(address(run)).content.decode()

    assert "say it &lt;b&gt;plainly&lt;/b&gt;" in page


@pytest.mark.parametrize(
    ("client", "told"), [("", "console"), ("cli", "cli, through console (as the client says")]
)
def test_a_page_says_where_a_run_was_asked_for_and_with_what(
    cast: Cast, browse: Browser, client: str, told: str
) -> None:
    run = make_run(cast.acme)
    Run.objects.filter(pk=run.pk).update(surface="console", client=client)

    page = browse("operator").get(address(run)).content.decode()

    assert told in page
    assert ("as the client says" in page) == bool(client)


def test_a_viewer_has_no_deeds_and_cannot_do_them(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    viewer = browse("viewer")

    page = viewer.get(address(run)).content.decode()
    assert address(run, "pause") not in page
    assert address(run, "cancel") not in page
    for name in ("pause", "resume", "cancel", "fork", "replay"):
        assert viewer.post(address(run, name)).status_code == 403
    selected = {"action": "cancel_selected", "_selected_action": [str(run.pk)], "confirmed": "yes"}
    viewer.post(LIST, selected)
    assert state(run) == "queued"
    assert run.control == ""


def test_an_auditor_reads_but_cannot_act(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme, text="read me")
    auditor = browse("auditor")

    assert "read me" in auditor.get(LIST).content.decode()
    assert auditor.post(address(run, "pause")).status_code == 403
    assert state(run) == "queued"


def test_pause_and_resume_go_through_the_services(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    operator = browse("operator")

    answer = operator.post(address(run, "pause"))
    assert (answer.status_code, answer["Location"]) == (302, address(run))
    assert state(run) == "paused"
    assert run.control_by == "operator"

    operator.post(address(run, "resume"))
    assert state(run) == "queued"


def test_a_pause_that_has_not_happened_is_withdrawn_from_the_page(
    cast: Cast, browse: Browser
) -> None:
    run = make_run(cast.acme)
    Run.objects.filter(pk=run.pk).update(state="running", fence=1, lease_until=clock.now())
    operator = browse("operator")
    untouched = operator.get(address(run)).content.decode()
    operator.post(address(run, "pause"))
    asked = operator.get(address(run)).content.decode()

    operator.post(address(run, "resume"))

    page = operator.get(address(run)).content.decode()
    assert (state(run), run.control, run.control_by) == ("running", "resume", "operator")
    assert address(run, "resume") not in untouched
    assert address(run, "resume") in asked
    assert address(run, "pause") not in asked
    assert address(run, "pause") in page
    assert "asked to" not in page.split("<title>")[1].split("</title>")[0]
    assert "The request to pause it was withdrawn by operator; it goes on." in page


def test_cancel_is_asked_first_and_keeps_the_reason(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    operator = browse("operator")

    page = operator.get(address(run, "cancel")).content.decode()
    assert "It ends now, and so does every run it started" in page
    assert state(run) == "queued"

    operator.post(address(run, "cancel"), {"reason": "Not needed any more."})
    assert state(run) == "cancelled"
    assert run.reason == "Cancelled by operator: Not needed any more."


def test_who_comes_second_is_told_who_won(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    browse("admin").post(address(run, "cancel"))
    operator = browse("operator")

    operator.post(address(run, "cancel"))

    assert said(operator, address(run)) == [
        (
            "The run is cancelled by admin; it cannot be cancelled now. "
            "Fork it from a checkpoint, or replay it."
        )
    ]
    run.refresh_from_db()
    assert run.control_by == "admin"


def test_a_run_that_yielded_needs_a_higher_limit(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    Run.objects.filter(pk=run.pk).update(
        state="yielded", error_code="max_iterations", iteration=25, reason="It reached its limit."
    )
    operator = browse("operator")
    page = operator.get(address(run, "resume")).content.decode()
    assert "limit now: 25; model calls used: 25." in page

    answer = operator.post(address(run, "resume"), {"max_iterations": "25"})
    assert answer.status_code == 200
    assert "and has used 25" in answer.content.decode()
    assert state(run) == "yielded"

    operator.post(address(run, "resume"), {"max_iterations": "40"})
    assert state(run) == "queued"
    assert run.limits["max_iterations"] == 40


def test_fork_starts_a_new_run_and_leaves_the_old_one(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    checkpointed(run)
    make_model(cast.acme, "large")
    operator = browse("operator")

    answer = operator.post(
        address(run, "fork"), {"checkpoint": "1", "model": "large", "message": "Do it well."}
    )

    fork = Run.objects.get(surface="fork")
    assert answer["Location"] == address(fork)
    assert (fork.input, fork.forked_from_sequence, fork.prefix_run_id) == ("Do it well.", 1, run.pk)
    assert fork.snapshot.content["models"][0]["name"] == "large"
    assert state(run) == "queued"


def test_a_fork_from_nowhere_is_refused_in_the_form(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    checkpointed(run)

    answer = browse("operator").post(address(run, "fork"), {"checkpoint": "9"})

    assert answer.status_code == 200
    assert "checkpoint" in answer.context["form"].errors
    assert Run.objects.count() == 1


def test_replay_is_for_runs_that_ended(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    operator = browse("operator")
    operator.post(address(run, "replay"))
    assert said(operator, address(run))[0].startswith("The run is queued; only a finished run")
    assert Run.objects.count() == 1

    run_move(run_id=run.pk, target=RunState.CANCELLED)
    operator.post(address(run, "replay"))
    assert Run.objects.get(replay_of=run).surface == "replay"


def test_a_list_action_asks_and_then_decides_each_run_by_itself(
    cast: Cast, browse: Browser
) -> None:
    first, second = make_run(cast.acme), make_run(cast.acme)
    foreign = make_run(cast.other)
    run_move(run_id=second.pk, target=RunState.CANCELLED, reason="Ended before.")
    operator = browse("operator")
    chosen = {
        "action": "cancel_selected",
        "_selected_action": [str(first.pk), str(second.pk), str(foreign.pk)],
    }

    page = operator.post(LIST, chosen).content.decode()
    assert "Cancel 2 runs?" in page
    assert state(first) == "queued"

    operator.post(LIST, {**chosen, "confirmed": "yes"})
    assert [state(run) for run in (first, second, foreign)] == ["cancelled", "cancelled", "queued"]
    messages = said(operator, LIST)
    assert messages[0] == "1 run: cancel done."
    assert "The run is cancelled; it cannot be cancelled now." in messages[1]


def test_runs_cannot_be_added_changed_or_deleted(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    root = browse("root")

    assert root.get(f"{LIST}add/").status_code == 403
    assert root.get(f"{LIST}{run.pk}/delete/").status_code == 403
    root.post(address(run), {"state": "succeeded"})
    assert state(run) == "queued"


def test_a_list_is_searched_by_agent_and_by_the_beginning_of_an_id(
    cast: Cast, browse: Browser
) -> None:
    run = make_run(cast.acme, "needle")
    make_run(cast.acme, "hay")
    operator = browse("operator")

    for query in ("needle", str(run.pk), str(run.pk).replace("-", "")):
        found = list(operator.get(LIST, {"q": query}).context["cl"].result_list)
        assert found == [run], query


def test_a_finding_counts_what_its_list_shows(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    make_run(cast.other)
    run_move(run_id=run.pk, target=RunState.FAILED, reason="No luck.")
    operator = browse("operator")

    figures = {
        figure.title: figure for figure in operator.get("/admin/").context["overview"].figures
    }

    assert {title: figure.value for title, figure in figures.items()} == {
        "Running": "0", "Queued": "0", "Waiting": "0", "Failed": "1", "Approvals": "0",
        "Calls in doubt": "0", "Spent today": "$0.00",
    }  # fmt: skip
    assert figures["Failed"].is_urgent
    assert list(operator.get(figures["Failed"].url).context["cl"].result_list) == [run]


def test_filters_offer_only_what_runs_can_have(cast: Cast, browse: Browser) -> None:
    make_run(cast.acme)
    make_run(cast.acme, "second")

    page = browse("operator").get(LIST).content.decode()

    assert '<select name="agent"><option value="">Any</option>' in page
    assert "<option>helper</option><option>second</option>" in page
    assert '<option value="console">console</option>' in page
    assert ">cli</option>" not in page
    assert 'href="?state=queued"' in page


def test_a_command_in_a_remedy_is_code(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    Run.objects.filter(pk=run.pk).update(state="paused", error_code="step", reason="Held.")

    page = browse("operator").get(f"/admin/agents/run/{run.pk}/change/").content.decode()

    assert "with <code>agentry debug</code>, then step" in page
