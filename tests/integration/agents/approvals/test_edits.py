"""Edit and resume: what a paused run is about to do is changed, and everybody can see by whom.

An approval holds for what was asked, so a changed call is asked about anew.
"""

from typing import Any

import pytest

from agents.contracts import RunState
from agents.execution.evidence import BY_A_PERSON
from agents.models import Checkpoint, Run, RunEdit
from agents.selectors.debugging import debugger_of
from agents.selectors.history import run_messages
from agents.services.runs import run_fork, run_pause, run_replay, run_resume
from agents.services.runs.debugging import run_continue, run_debug_set, run_step
from agents.services.runs.editing import run_add_message, run_edit_arguments, run_edit_message
from core.errors import (
    ConflictError,
    InvalidInputError,
    PermissionDeniedError,
    StaleStateError,
)
from governance.contracts import Actor
from governance.models import Approval, AuditEntry, Workspace
from governance.selectors.evidence import approval_evidence
from observability.models import TraceEvent
from plugins.models import ToolCall
from tests.integration.agents.approvals.kit import (
    ASK,
    DENY,
    PayTool,
    approvals_of,
    at_once,
    decide,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    history,
    kinds,
    ledger,
    script_agent,
    told,
)

S = RunState
BOTH = """
steps:
  - tool_calls:
      - {name: pay, arguments: {amount: 7}}
      - {name: echo, arguments: {text: "hello"}}
  - text: "Done."
"""


def held(engine: Engine, run: Run) -> Run:
    if not engine.is_started:
        engine.start()
    return engine.until(run, S.PAUSED)


def debug(run: Run, **settings: Any) -> Run:
    run.refresh_from_db()
    return run_debug_set(actor=boss(), run_id=run.pk, version=run.debug_version, settings=settings)


def go_on(run: Run) -> None:
    run.refresh_from_db()
    run_continue(actor=boss(), run_id=run.pk, version=run.debug_version)


def call(run: Run, tool: str = "pay") -> ToolCall:
    return ToolCall.objects.get(run_id=run.pk, tool=tool)


def change(run: Run, arguments: dict[str, Any], actor: Actor | None = None) -> RunEdit:
    run.refresh_from_db()
    return run_edit_arguments(
        actor=actor or boss(),
        run_id=run.pk,
        version=run.debug_version,
        call_id=call(run).pk,
        arguments=arguments,
    )


def say(run: Run, text: str) -> RunEdit:
    run.refresh_from_db()
    return run_add_message(actor=boss(), run_id=run.pk, version=run.debug_version, text=text)


def row(run: Run) -> dict[str, Any]:
    return dict(Run.objects.filter(pk=run.pk).values().get())


def at_the_call(engine: Engine, workspace: Workspace, script: str = BOTH) -> Run:
    run = debug(paying(workspace, script), step="tool")
    return held(engine, run)


def test_changed_arguments_are_asked_about_anew_and_then_run(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = at_the_call(engine, workspace)
    edit = change(run, {"amount": 5})
    assert (edit.before, edit.after, edit.edited_by_name) == ({"amount": 7}, {"amount": 5}, "boss")
    assert pay.ran == []
    go_on(run)
    (approval,) = parked(engine, run)
    assert call(run).arguments == {"amount": 5}
    decide(ann, approval)
    engine.until(run, S.SUCCEEDED)

    assert pay.ran == [{"amount": 5}]
    asked = history(run)[1].tool_calls[0]
    assert asked.arguments == {"amount": 7}  # what the model said stays what it said
    (result,) = [line for line in told(run) if "Paid" in line]
    assert result == (
        "result While the run stood still, boss changed the arguments of this call to "
        '{"amount":5}.\n\nPaid 5.'
    )
    kept = TraceEvent.objects.get(run_id=run.pk, kind="run.edited").payload
    assert (kept["by"], kept["before"], kept["after"]) == ("boss", {"amount": 7}, {"amount": 5})
    entry = AuditEntry.objects.filter(action="decision", payload__edited="arguments").get()
    assert (entry.actor_name, "amount" in str(entry.payload)) == ("boss", False)
    check_invariants(run.pk)


@pytest.mark.parametrize("is_approved", [False, True], ids=["asked", "approved"])
def test_what_was_asked_or_approved_before_is_void(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, is_approved: bool
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (first,) = parked(engine, run)
    engine.stop()
    if is_approved:
        decide(ann, first)
    run_pause(actor=boss(), run_id=run.pk)
    change(run, {"amount": 9})
    first.refresh_from_db()
    assert first.state == ("approved" if is_approved else "withdrawn")
    assert call(run).state == "planned"
    if not is_approved:
        with pytest.raises(StaleStateError):
            decide(ann, first)
    go_on(run)
    (second,) = parked(engine, run)
    assert second.pk != first.pk
    assert second.binding_digest != first.binding_digest
    decide(ann, second)
    engine.until(run, S.SUCCEEDED)
    assert pay.ran == [{"amount": 9}]


def test_arguments_the_tool_or_the_policy_does_not_take_change_nothing(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ASK)
    run = at_the_call(engine, workspace)
    before = row(run)
    for arguments in ({"amount": 101}, {"amount": "7"}, {"other": 1}):
        with pytest.raises(InvalidInputError, match="do not fit the schema of pay"):
            change(run, arguments)
    publish(workspace, pay=DENY)
    with pytest.raises(PermissionDeniedError, match="Not in this house"):
        change(run, {"amount": 5})
    assert row(run) == before
    assert (RunEdit.objects.count(), call(run).arguments) == (0, {"amount": 7})
    assert "run.edited" not in kinds(run)


def test_who_may_not_see_payload_may_not_change_it(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ASK)
    run = at_the_call(engine, workspace)
    before = row(run)
    with pytest.raises(PermissionDeniedError):
        change(run, {"amount": 5}, actor=person(workspace, "eve", "viewer"))
    assert (row(run), call(run).arguments) == (before, {"amount": 7})


def test_a_call_that_has_begun_cannot_be_changed(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    script_agent(workspace, 'steps: [{text: "dug"}]', name="worker")
    parent = (
        "steps: [{tool_calls: [{name: agent, arguments: {agent: worker, input: x}}]}, {text: d}]"
    )
    script_agent(workspace, parent, delegates=["worker"])
    run = debug(begin(workspace), breakpoints=[{"kind": "agent", "value": "worker"}], scope="tree")
    engine.start()
    engine.until(run, S.WAITING, wait_kind="children")
    run_pause(actor=boss(), run_id=run.pk)
    run.refresh_from_db()
    delegated = call(run, "agent")
    with pytest.raises(ConflictError, match="its arguments cannot change any more"):
        run_edit_arguments(
            actor=boss(), run_id=run.pk, version=run.debug_version, call_id=delegated.pk,
            arguments={"agent": "worker", "input": "y"},
        )  # fmt: skip
    assert RunEdit.objects.count() == 0


def test_of_two_who_change_the_same_call_one_wins(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ASK)
    run = at_the_call(engine, workspace)
    run.refresh_from_db()
    seen, key = run.debug_version, call(run).pk
    people = [
        Actor(user_id=boss().user_id, username=name, is_superuser=True) for name in ("al", "bo")
    ]

    def with_amount(actor: Actor, amount: int) -> Any:
        return lambda: run_edit_arguments(
            actor=actor, run_id=run.pk, version=seen, call_id=key, arguments={"amount": amount}
        )

    first, second = at_once([with_amount(people[0], 1), with_amount(people[1], 2)])
    won, lost = (first, second) if isinstance(first, RunEdit) else (second, first)
    assert isinstance(lost, StaleStateError)
    assert lost.detail["by"] == won.edited_by_name
    assert lost.detail["deed"] == "changed the arguments of pay"
    assert lost.detail["version"] == seen + 1
    assert call(run).arguments == won.after
    assert RunEdit.objects.count() == 1


def test_a_result_and_a_message_are_changed_before_the_model_sees_them(
    engine: Engine, workspace: Workspace
) -> None:
    script = """
steps:
  - tool_calls: [{name: echo, arguments: {text: "12 degrees"}}]
  - text: "It said ${last_result}."
"""
    script_agent(workspace, script, tools=["echo"])
    run = debug(begin(workspace), step="model")
    held(engine, run)
    seen = debugger_of(run).standing.messages
    assert [(each.position, each.role, each.text) for each in seen] == [(0, "user", "do it")]
    run_edit_message(
        actor=boss(), run_id=run.pk, version=run.debug_version, position=0, text="do it now"
    )
    with pytest.raises(StaleStateError, match="boss changed the message 0"):
        run_edit_message(
            actor=boss(), run_id=run.pk, version=run.debug_version, position=0, text="late"
        )
    run.refresh_from_db()
    with pytest.raises(InvalidInputError, match="not one that the model is about to see"):
        run_edit_message(
            actor=boss(), run_id=run.pk, version=run.debug_version, position=1, text="what"
        )
    run_resume(actor=boss(), run_id=run.pk)
    held(engine, run)
    run_edit_message(
        actor=boss(), run_id=run.pk, version=run.debug_version, position=2, text="30 degrees"
    )
    go_on(run)
    engine.until(run, S.SUCCEEDED)
    assert told(run)[0] == "user do it now"
    assert told(run)[2] == "result 30 degrees"
    shown = [part for message in run_messages(run) for part in message.parts]
    assert shown[0] == {"type": "text", "content": "do it now"}
    assert call(run, "echo").result == "12 degrees"  # what the tool gave stays what it gave
    edits = RunEdit.objects.order_by("sequence")
    assert [(edit.before or [{}])[0].get("content", "12 degrees") for edit in edits] == [
        "do it",
        "12 degrees",
    ]
    check_invariants(run.pk)

    origin = Checkpoint.objects.filter(run=run).order_by("sequence")
    early = run_fork(actor=boss(), run_id=run.pk, checkpoint=origin[0].sequence)
    later = run_fork(actor=boss(), run_id=run.pk, checkpoint=origin[1].sequence)
    for fork, text in ((early, "user do it"), (later, "user do it now")):
        engine.until(fork)
        assert told(fork)[0] == text
        assert run_messages(fork)[0].parts[0]["content"] in text


def test_a_word_to_the_model_lets_a_run_that_was_about_to_end_go_on(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(
        workspace,
        """
branches:
  - when: {contains: rather}
    steps: [{tool_calls: [{name: echo, arguments: {text: five}}]}, {text: "Five it is."}]
  - steps: [{text: "Shall I pay?"}]
""",
        tools=["echo"],
    )
    run = debug(begin(workspace), breakpoints=[{"kind": "text", "value": "shall i"}])
    held(engine, run)
    assert debugger_of(run).next == "end"
    say(run, "Rather 5.")
    go_on(run)
    engine.until(run, S.SUCCEEDED)
    assert told(run) == [
        "user do it", "assistant Shall I pay?", "user Rather 5.", "call echo",
        "result five", "assistant Five it is.",
    ]  # fmt: skip
    check_invariants(run.pk)

    replay = run_replay(actor=boss(), run_id=run.pk)
    engine.until(replay, S.SUCCEEDED)
    assert told(replay) == told(run)


def test_a_message_has_no_place_between_calls_and_results(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ASK)
    run = at_the_call(engine, workspace)
    before = row(run)
    with pytest.raises(ConflictError, match="tool calls open"):
        say(run, "stop")
    with pytest.raises(InvalidInputError):
        run_edit_message(
            actor=boss(), run_id=run.pk, version=run.debug_version, position=0, text="other"
        )
    assert row(run) == before


def test_a_fork_of_a_changed_call_has_it_changed(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = at_the_call(engine, workspace)
    edit = change(run, {"amount": 5})
    fork = run_fork(actor=boss(), run_id=run.pk, checkpoint=edit.sequence)
    before = run_fork(actor=boss(), run_id=run.pk, checkpoint=edit.sequence - 1)
    for child, amount in ((fork, 5), (before, 7)):
        (approval,) = parked(engine, child)
        assert call(child).arguments == {"amount": amount}
        decide(ann, approval)
        engine.until(child, S.SUCCEEDED)
    assert pay.ran == [{"amount": 5}, {"amount": 7}]
    assert ledger(run) == [("pay", "planned"), ("echo", "planned")]
    assert approvals_of(run) == []


def sources(approval: Approval, ann: Actor) -> list[str]:
    return [each["sentence"] for each in approval_evidence(ann, approval)["sources"]]


def test_an_approver_is_told_what_a_person_has_put_there(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    """A result that was changed is no result of a tool, and arguments are not the model's own."""
    publish(workspace, pay=ASK)
    script = """
steps:
  - tool_calls: [{name: echo, arguments: {text: the bill is open}}]
  - tool_calls: [{name: pay, arguments: {amount: 42}}]
  - text: "Done."
"""
    run = debug(paying(workspace, script), step="model")
    held(engine, run)
    run.refresh_from_db()
    run_step(actor=boss(), run_id=run.pk, version=run.debug_version)
    held(engine, run)
    run_edit_message(
        actor=boss(), run_id=run.pk, version=run.debug_version, position=2, text="the bill is 42"
    )
    go_on(run)
    (approval,) = parked(engine, run)
    assert sources(approval, ann) == [
        "from the tool result at position 2, which boss wrote while the run stood still"
    ]

    run_pause(actor=boss(), run_id=run.pk)
    change(run, {"amount": 41})
    run_resume(actor=boss(), run_id=run.pk)
    engine.until(run, S.WAITING)
    (again,) = [each for each in approvals_of(run) if each.state == "pending"]
    assert sources(again, ann) == [BY_A_PERSON.format(by="boss")]
    assert sources(again, ann)[0].startswith("written by boss, who changed the arguments,")
    fork = engine.until(run_fork(actor=boss(), run_id=run.pk), S.WAITING)
    (forked,) = approvals_of(fork)
    assert sources(forked, ann) == sources(again, ann)
