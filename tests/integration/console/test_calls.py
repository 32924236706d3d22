"""Calls in doubt: explained, settled once, and only by those who may."""

import pytest
from django.urls import reverse

from core import clock
from core.ids import new_id
from governance.models import Workspace
from plugins.contracts import CallState, EffectClass
from plugins.models import ToolCall
from plugins.services.calls import call_resolve
from tests.factories.agents import make_run
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db


def doubtful(workspace: Workspace, **fields: object) -> ToolCall:
    run = make_run(workspace)
    given = {"state": CallState.IN_DOUBT.value, "arguments": {"to": "the board"}} | fields
    return ToolCall.objects.create(
        id=new_id(),
        workspace_id=workspace.pk,
        run_id=run.pk,
        position=1,
        index=0,
        provider_call_id="call_1",
        tool="send_mail",
        effect=EffectClass.IRREVERSIBLE.value,
        reason="The worker died.",
        planned_at=clock.now(),
        **given,
    )


def address(call: ToolCall, name: str = "change") -> str:
    return reverse(f"admin:plugins_toolcall_{name}", args=[call.pk])


def test_a_call_in_doubt_says_so_and_leads_to_its_decision(cast: Cast, browse: Browser) -> None:
    call = doubtful(cast.acme)

    page = browse("operator").get(address(call)).content.decode()

    assert "Nobody recorded what became of this call." in page
    assert address(call, "resolve") in page


def test_each_answer_is_explained_before_it_is_given(cast: Cast, browse: Browser) -> None:
    page = browse("operator").get(address(doubtful(cast.acme), "resolve")).content.decode()

    assert "nothing is done again" in page
    assert "The model is told so and decides what to do next." in page
    assert "if it happened after all, it happens twice" in page


@pytest.mark.parametrize(
    ("outcome", "state", "is_error"),
    [("committed", "committed", False), ("failed", "failed", True), ("retry", "planned", False)],
)
def test_an_answer_settles_the_call(
    cast: Cast, browse: Browser, outcome: str, state: str, is_error: bool
) -> None:
    call = doubtful(cast.acme)

    answer = browse("operator").post(
        address(call, "resolve"), {"outcome": outcome, "result": "sent", "note": "asked the board"}
    )

    assert (answer.status_code, answer["Location"]) == (302, address(call))
    call.refresh_from_db()
    assert (call.state, call.is_error) == (state, is_error)
    assert call.decision is not None
    assert (call.decision["resolved_by"], call.decision["note"]) == ("operator", "asked the board")


def test_the_second_answer_changes_nothing_and_names_the_first(cast: Cast, browse: Browser) -> None:
    call = doubtful(cast.acme)
    call_resolve(actor=cast.actor("admin"), call_id=call.pk, outcome="committed", result="sent")
    operator = browse("operator")

    answer = operator.post(address(call, "resolve"), {"outcome": "retry"}, follow=True)

    assert [str(message) for message in answer.context["messages"]] == [
        "The call is committed by admin; only a call in doubt can be resolved."
    ]
    call.refresh_from_db()
    assert (call.state, call.result) == ("committed", "sent")


def test_an_answer_nobody_knows_is_refused(cast: Cast, browse: Browser) -> None:
    call = doubtful(cast.acme)

    answer = browse("operator").post(address(call, "resolve"), {"outcome": "perhaps"})

    assert answer.status_code == 200
    assert "outcome" in answer.context["form"].errors
    call.refresh_from_db()
    assert call.state == "in_doubt"


@pytest.mark.parametrize("name", ["viewer", "auditor", "author"])
def test_who_may_not_decide_is_refused(cast: Cast, browse: Browser, name: str) -> None:
    call = doubtful(cast.acme)
    client = browse(name)

    assert address(call, "resolve") not in client.get(address(call)).content.decode()
    assert client.get(address(call, "resolve")).status_code == 403
    assert client.post(address(call, "resolve"), {"outcome": "failed"}).status_code == 403
    call.refresh_from_db()
    assert call.state == "in_doubt"


def test_arguments_are_for_those_who_may_read_them(cast: Cast, browse: Browser) -> None:
    call = doubtful(cast.acme)

    assert "the board" in browse("auditor").get(address(call)).content.decode()
    hidden = browse("viewer").get(address(call)).content.decode()
    assert "the board" not in hidden
    assert "seeing it takes the permission run.payload" in hidden


def test_calls_of_another_workspace_are_not_there(cast: Cast, browse: Browser) -> None:
    call = doubtful(cast.other)
    client = browse("admin")

    assert address(call) not in client.get("/admin/plugins/toolcall/").content.decode()
    for name in ("change", "resolve", "history"):
        answer = client.get(address(call, name))
        assert answer.status_code in {302, 403, 404}
        assert b"the board" not in answer.content
    assert client.post(address(call, "resolve"), {"outcome": "failed"}).status_code == 403
    call.refresh_from_db()
    assert call.state == "in_doubt"
