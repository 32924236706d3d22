"""Whatever runs without a sandbox is marked wherever it is shown."""

from typing import Any

import pytest
from django.urls import reverse

from agents.services.versions import version_draft_save
from core import clock
from core.ids import new_id
from governance.contracts import SYSTEM, ApprovalKind
from governance.models import Approval
from plugins.contracts import CallState, EffectClass, ToolSpec
from plugins.models import ToolCall, ToolDefinition
from plugins.policy import decide
from plugins.selectors import call_is_unprotected
from plugins.services.calls import call_resolve
from sandbox.contracts import Isolation, Profile
from tests.factories.agents import make_agent, make_run
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

MARK = "pill is-unprotected"


def asked(sandbox: str) -> dict[str, Any]:
    return {"is_allowed": True, "rule": "fine", "question": {"tool": {"sandbox": sandbox}}}


def called(cast: Cast, decision: dict[str, Any] | None, state: str = "committed") -> ToolCall:
    run = make_run(cast.acme)
    return ToolCall.objects.create(
        id=new_id(), workspace_id=cast.acme.pk, run_id=run.pk, position=1, index=0,
        provider_call_id="call_1", tool="deploy", effect=EffectClass.IRREVERSIBLE.value,
        state=state, arguments={"to": "production"}, planned_at=clock.now(), decision=decision,
    )  # fmt: skip


def declared(cast: Cast, engine: str) -> ToolDefinition:
    return ToolDefinition.objects.create(
        workspace=cast.acme, name="deploy", kind="command", description="Deploys.",
        command="./deploy", engine=engine, is_privileged=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("decision", "is_marked"),
    [
        (asked("disabled"), True),
        ({"is_allowed": False, "rule": "builtin", "is_unprotected": True}, True),
        (asked("site"), False),
        (asked("none"), False),
        (None, False),
    ],
)
def test_a_call_is_marked_on_every_page_that_shows_it(
    cast: Cast, browse: Browser, decision: dict[str, Any] | None, is_marked: bool
) -> None:
    call = called(cast, decision)
    client = browse("viewer")

    pages = {
        "list": reverse("admin:plugins_toolcall_changelist"),
        "call": reverse("admin:plugins_toolcall_change", args=[call.pk]),
        "run": reverse("admin:agents_run_change", args=[call.run_id]),
    }
    shown = {name: MARK in client.get(url).content.decode() for name, url in pages.items()}

    assert shown == dict.fromkeys(pages, is_marked)


@pytest.mark.parametrize(("engine", "is_marked"), [("disabled", True), ("", False)])
def test_a_tool_is_marked_in_the_list_and_on_its_page(
    cast: Cast, browse: Browser, engine: str, is_marked: bool
) -> None:
    tool = declared(cast, engine)
    client = browse("viewer")

    for url in (
        reverse("admin:plugins_tooldefinition_changelist"),
        reverse("admin:plugins_tooldefinition_change", args=[tool.pk]),
    ):
        assert (MARK in client.get(url).content.decode()) is is_marked


def test_an_agent_and_its_versions_name_the_tools_without_a_sandbox(
    cast: Cast, browse: Browser
) -> None:
    declared(cast, "disabled")
    agent = make_agent(cast.acme, "scout", tools=["deploy"])
    draft = version_draft_save(actor=SYSTEM, agent=agent, spec={"prompt": "x", "tools": ["echo"]})
    client = browse("viewer")

    def named(url: str) -> list[str]:
        found: list[str] = client.get(url).context["unprotected"]
        return found

    assert named(reverse("admin:agents_agent_change", args=[agent.pk])) == ["deploy"]
    published = reverse("admin:agents_agentversion_change", args=[agent.published_id])
    assert named(published) == ["deploy"]
    assert named(reverse("admin:agents_agentversion_change", args=[draft.pk])) == []


@pytest.mark.parametrize(
    ("evidence", "is_marked"), [({"sandbox": {"is_unprotected": True}}, True), ({}, False)]
)
def test_whoever_decides_sees_that_it_runs_without_a_sandbox(
    cast: Cast, browse: Browser, evidence: dict[str, Any], is_marked: bool
) -> None:
    call = called(cast, asked("disabled"), state=CallState.WAITING.value)
    approval = Approval.objects.create(
        workspace=cast.acme, kind=ApprovalKind.TOOL_CALL.value, subject_id=call.pk,
        run_id=call.run_id, title="deploy", evidence=evidence, binding={}, binding_digest="d",
        created_at=clock.now(), expires_at=clock.now(),
    )  # fmt: skip
    client = browse("approver")

    for url in (
        reverse("admin:governance_approval_changelist"),
        reverse("admin:governance_approval_change", args=[approval.pk]),
        reverse("admin:governance_approval_decide", args=[approval.pk]),
    ):
        assert (MARK in client.get(url).content.decode()) is is_marked


def test_the_mark_outlives_a_doubt(cast: Cast) -> None:
    call = called(cast, asked("disabled"), state=CallState.IN_DOUBT.value)

    call_resolve(actor=cast.actor("operator"), call_id=call.pk, outcome="committed", result="done")

    call.refresh_from_db()
    assert call.decision is not None
    assert (call.state, call.decision["resolved_by"]) == ("committed", "operator")
    assert call_is_unprotected(call)


def test_the_built_in_rule_records_that_there_is_no_sandbox() -> None:
    def recorded(isolation: Isolation | None) -> Any:
        spec = ToolSpec(
            name="deploy", description="", input_schema={}, effect=EffectClass.IRREVERSIBLE,
            privileged=True, sandbox=None if isolation is None else Profile(isolation=isolation),
        )  # fmt: skip
        return decide(spec).record().get("is_unprotected")

    assert [recorded(each) for each in (Isolation.DISABLED, Isolation.SITE, None)] == [
        True, None, None,
    ]  # fmt: skip
