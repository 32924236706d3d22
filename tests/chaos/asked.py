"""Runs that ask people: a workspace whose policy asks about every charge and every mail.

Called inside a process that has the project set up (see `inside`); the names of points are also
read by the tests outside.
"""

from typing import Any

# Where a worker dies that has an answer in its hands, and where who answers dies.
ASKED_POINTS = (
    "approval.before_claim",
    "approval.after_claim",
    "grant.before_claim",
    "grant.before_lock",
    "grant.before_count",
    "grant.before_commit",
    "grant.after_commit",
    "grant.after_claim",
)
DECIDER_POINTS = ("approval.before_lock", "approval.before_commit")
WORKSPACE = "asked"
GRANTED_CALLS = 5

SCRIPT = """
steps:
  - text: Paying.
    tool_calls:
      - {name: charge, arguments: {label: charge-1}}
      - {name: mail, arguments: {label: mail-1}}
      - {name: put, arguments: {label: put-1}}
  - text: Again.
    tool_calls:
      - {name: charge, arguments: {label: charge-2}}
      - {name: charge, arguments: {label: charge-3}}
      - {name: mail, arguments: {label: mail-2}}
  - text: all done
"""
POLICY = """
default: allow
rules:
  - {name: charges, tools: [charge], effect: ask, grantable: true}
  - {name: mails, tools: [mail], effect: ask}
"""


def build(*, tools_url: str) -> None:
    """Make the workspace, once."""
    from governance.contracts import SYSTEM
    from governance.models import Workspace
    from governance.services.policies import policy_publish, policy_put
    from governance.services.workspaces import workspace_create
    from tests.chaos import scenario
    from tests.factories.governance import join

    if Workspace.objects.filter(name=WORKSPACE).exists():
        return
    workspace = workspace_create(SYSTEM, name=WORKSPACE)
    join(workspace, "operator", "admin")
    join(workspace, "decider", "admin")
    scenario.furnish(workspace, SCRIPT, tools_url=tools_url)
    scenario.publish(workspace, "payer", {"model": "script", "tools": ["charge", "mail", "put"]})
    policy_put(SYSTEM, workspace=workspace, source=POLICY)
    policy_publish(SYSTEM, workspace=workspace)


def start(*, count: int, text: str) -> list[str]:
    """Start `count` runs; return their ids."""
    from agents.services.runs import run_start
    from governance.models import Workspace
    from tests.chaos.scenario import person

    workspace = Workspace.objects.get(name=WORKSPACE)
    return [
        str(run_start(actor=person(), workspace=workspace, agent="payer", input=f"{text} {n}").pk)
        for n in range(count)
    ]


def arm() -> None:
    """Let this process kill itself where its environment says."""
    from core.pausepoints import install_from_environment

    install_from_environment()


def decide(*, grants: bool) -> int:
    """Say yes to everything that waits; with `grants`, to charges alike too, a few at a time."""
    from core.errors import StaleStateError
    from governance.access import actor_of_user
    from governance.models import Approval, Grant, User
    from governance.services.approvals import approval_decide, grant_give

    actor = actor_of_user(User.objects.get(username="decider"))
    decided = 0
    pending = Approval.objects.filter(workspace__name=WORKSPACE, state="pending", kind="tool_call")
    for approval in pending.order_by("pk"):
        active = Grant.objects.filter(workspace__name=WORKSPACE, state="active")
        try:
            if grants and approval.tool == "charge" and not active.exists():
                pattern = {"arguments": {"label": {"present": True}}}
                grant_give(
                    actor=actor, approval_id=approval.pk, pattern=pattern, uses=GRANTED_CALLS
                )
            else:
                approval_decide(actor=actor, approval_id=approval.pk, verdict="approve")
        except StaleStateError:
            continue  # somebody else, or the end of its run, was first
        decided += 1
    return decided


def complaints(*, roots: list[str]) -> list[str]:
    """Hold what was asked and granted against what was done."""
    from governance.models import Approval, Grant, GrantUse
    from plugins.models import ToolCall
    from tests.chaos.scenario import tree

    found = []
    runs = [run.pk for run in tree(roots)]
    for grant in Grant.objects.filter(workspace__name=WORKSPACE):
        counted = GrantUse.objects.filter(grant=grant).count()
        if counted != grant.uses or grant.uses > (grant.uses_max or 0):
            found.append(f"{grant} counts {grant.uses} of {grant.uses_max}; {counted} are recorded")
    used = set(GrantUse.objects.filter(run_id__in=runs).values_list("subject_id", flat=True))
    asked: dict[Any, list[str]] = {}
    for approval in Approval.objects.filter(run_id__in=runs, kind="tool_call"):
        asked.setdefault(approval.subject_id, []).append(approval.state)
        if approval.state == "pending":
            found.append(f"{approval} of a run that has ended")
    for call in ToolCall.objects.filter(run_id__in=runs, tool__in=["charge", "mail"]):
        is_asked, is_granted = asked.get(call.pk) == ["approved"], call.pk in used
        if call.state != "committed" or is_asked is is_granted:
            found.append(
                f"{call.tool} {call.pk} is {call.state}; asked {asked.get(call.pk)}, granted "
                f"{is_granted}: {call.reason}"
            )
    return found


def counts(*, roots: list[str]) -> dict[str, int]:
    """How much was answered by whom."""
    from governance.models import Approval, GrantUse
    from tests.chaos.scenario import tree

    runs = [run.pk for run in tree(roots)]
    return {
        "approved": Approval.objects.filter(run_id__in=runs, state="approved").count(),
        "granted": GrantUse.objects.filter(run_id__in=runs).count(),
    }
