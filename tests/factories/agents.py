"""Agents, runs and what belongs to them, made through services where there are any."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from agents.contracts import RunState
from agents.models import (
    Agent,
    AgentVersion,
    Checkpoint,
    Message,
    Model,
    ModelRoute,
    Provider,
    Run,
    SavedFilter,
    Session,
)
from agents.services.agents import agent_create
from agents.services.models import model_create
from agents.services.providers import provider_create
from agents.services.routes import route_create
from agents.services.runs import run_start
from agents.services.sessions import session_create
from agents.services.versions import version_draft_save, version_publish
from agents.transitions import run_move
from core import clock
from core.ids import new_id
from governance.contracts import SYSTEM, ApprovalKind
from governance.models import (
    Approval,
    Budget,
    Channel,
    Delegation,
    Delivery,
    Grant,
    GrantUse,
    Policy,
    PolicyVersion,
    Reservation,
    Secret,
    Workspace,
)
from governance.services.budgets import budget_create
from governance.services.channels import channel_create
from governance.services.deliveries import channel_test
from governance.services.secrets import secret_set
from plugins.contracts import CallState, EffectClass
from plugins.models import ToolCall, ToolDefinition
from plugins.services.tools import tool_create
from tests.factories.governance import make_user

SCRIPT = 'steps:\n  - text: "You said: ${input}"\n'


def make_provider(workspace: Workspace, name: str = "script", **fields: Any) -> Provider:
    return provider_create(
        actor=SYSTEM, workspace=workspace, name=name, **{"kind": "scripted", **fields}
    )


def make_model(workspace: Workspace, name: str = "small", **fields: Any) -> Model:
    """Make a model, and its provider when there is none yet."""
    if not Provider.objects.filter(workspace=workspace, name="script").exists():
        make_provider(workspace, script=SCRIPT)
    return model_create(
        actor=SYSTEM,
        workspace=workspace,
        name=name,
        **{"provider": "script", "vendor_name": "script-1", **fields},
    )


def make_agent(
    workspace: Workspace, name: str = "helper", *, is_published: bool = True, **spec: Any
) -> Agent:
    """Make an agent whose published version names the model `small`."""
    if not Model.objects.filter(workspace=workspace, name="small").exists():
        make_model(workspace)
    agent = agent_create(actor=SYSTEM, workspace=workspace, name=name)
    if is_published:
        publish(agent, **spec)
    agent.refresh_from_db()
    return agent


def publish(agent: Agent, **spec: Any) -> AgentVersion:
    content = {"prompt": "Be brief.", "model": "small", **spec}
    draft = version_draft_save(actor=SYSTEM, agent=agent, spec=content)
    return version_publish(actor=SYSTEM, agent=agent, number=draft.number)


def make_run(
    workspace: Workspace, agent: str = "helper", text: str = "do it", **options: Any
) -> Run:
    """Start a run; nothing drives it."""
    if not Agent.objects.filter(workspace=workspace, name=agent).exists():
        make_agent(workspace, agent)
    return run_start(actor=SYSTEM, workspace=workspace, agent=agent, input=text, **options)


def make_finished_run(workspace: Workspace, text: str = "do it", output: str = "done") -> Run:
    """Make a run that has answered, with its history and one committed call."""
    run = make_run(workspace, text=text)
    say(run, 0, "user", text)
    say(run, 1, "assistant", output)
    checkpoint(run, 1, message_count=2)
    Run.objects.filter(pk=run.pk).update(state="waiting", message_count=2, output=output)
    return run_move(run_id=run.pk, target=RunState.CANCELLED, reason=f"Stopped: {output}")


def say(run: Run, position: int, role: str, text: str) -> Message:
    return Message.objects.create(
        run=run,
        position=position,
        role=role,
        parts=[{"type": "text", "content": text}],
        created_at=clock.now(),
    )


def checkpoint(run: Run, sequence: int, *, message_count: int) -> Checkpoint:
    state = {"schema": 1, "phase": "model", "iteration": 1, "message_count": message_count}
    return Checkpoint.objects.create(
        run=run,
        sequence=sequence,
        message_count=message_count,
        state=state,
        created_at=clock.now(),
    )


def make_call(run: Run, *, state: CallState = CallState.IN_DOUBT, index: int = 0) -> ToolCall:
    return ToolCall.objects.create(
        workspace_id=run.workspace_id,
        run_id=run.pk,
        position=1,
        index=index,
        provider_call_id=f"call-{index}",
        tool="charge",
        arguments={"amount": 12, "secret word": "pineapple"},
        effect=EffectClass.IRREVERSIBLE.value,
        state=state.value,
        result="",
        reason="It was sent: pineapple.",
        planned_at=clock.now(),
        dispatched_at=clock.now(),
    )


def make_approval(run: Run, call: ToolCall, **fields: Any) -> Approval:
    """Make an open question about a call that waits, to be decided by whoever may."""
    known: dict[str, Any] = {
        "kind": ApprovalKind.TOOL_CALL.value,
        "agent_name": run.agent_name,
        "title": "charge?",
        "question": "Because of the pineapple.",
        "binding": {"arguments": "d"},
        "binding_digest": "b" * 64,
        "arguments": call.arguments,
        "created_at": clock.now(),
    }
    return Approval.objects.create(
        workspace_id=run.workspace_id,
        subject_id=call.pk,
        run_id=run.pk,
        **{**known, **fields},
    )


def make_grant(run: Run, call: ToolCall, **fields: Any) -> Grant:
    """Make a standing approval of calls like this one, with one use."""
    now = clock.now()
    known: dict[str, Any] = {
        "tool": call.tool,
        "agent_name": run.agent_name,
        "rule": "rule",
        "pattern": {"arguments": {"secret word": {"equals": "pineapple"}}},
        "granted_by_id": new_id(),
        "granted_by_name": "giver",
        "reason": "Because of the pineapple.",
        "uses": 1,
        "created_at": now,
        "expires_at": now + timedelta(days=1),
    }
    grant = Grant.objects.create(workspace_id=run.workspace_id, **{**known, **fields})
    GrantUse.objects.create(
        grant=grant, subject_id=call.pk, run_id=run.pk, arguments_digest="a" * 64, at=now
    )
    return grant


def make_delegation(workspace: Workspace, mark: str, **fields: Any) -> Delegation:
    now = clock.now()
    known: dict[str, Any] = {
        "delegator": make_user(f"{mark}-away"),
        "delegate": make_user(f"{mark}-stand-in"),
        "from_at": now,
        "until_at": now + timedelta(days=1),
        "reason": f"{mark} holidays",
        "created_at": now,
        "created_by_name": f"{mark}-away",
    }
    return Delegation.objects.create(workspace=workspace, **{**known, **fields})


def make_channel(workspace: Workspace, name: str, **fields: Any) -> Channel:
    known = {"kind": "webhook", "url": f"https://{name}.example/hook"}
    return channel_create(SYSTEM, workspace=workspace, name=name, **{**known, **fields}).channel


def make_budget(workspace: Workspace, name: str = "monthly", **fields: Any) -> Budget:
    known = {"kind": "workspace", "limit_usd": Decimal(100), "note": f"{name} note"}
    return budget_create(SYSTEM, workspace=workspace, name=name, **{**known, **fields})


def make_reservation(run: Run, **fields: Any) -> Reservation:
    """Make money that was set aside for a model call of a run; it counts against nothing."""
    known: dict[str, Any] = {
        "place": 0,
        "fence": run.fence,
        "reserved_usd": Decimal("0.01"),
        "created_at": clock.now(),
    }
    return Reservation.objects.create(
        workspace_id=run.workspace_id, run_id=run.pk, **{**known, **fields}
    )


def make_policy(workspace: Workspace, source: str) -> PolicyVersion:
    """Make a policy that was in force once; calls are judged by the built-in rule."""
    Policy.objects.update_or_create(workspace=workspace, defaults={"draft": source})
    return PolicyVersion.objects.create(
        workspace=workspace,
        number=PolicyVersion.objects.count() + 1,
        source=source,
        digest="d" * 64,
        is_active=False,
        published_at=clock.now(),
    )


def make_secret(
    workspace: Workspace, name: str = "github", value: str = "hunter2-and-more", **fields: Any
) -> Secret:
    return secret_set(SYSTEM, workspace=workspace, name=name, value=value, **fields)


def make_tool(workspace: Workspace, name: str = "orders", **fields: Any) -> ToolDefinition:
    return tool_create(
        actor=SYSTEM,
        workspace=workspace,
        name=name,
        **{"description": "Lists orders.", "url": "https://orders.example/list", **fields},
    )


def make_route(workspace: Workspace, **fields: Any) -> ModelRoute:
    if not Model.objects.filter(workspace=workspace, name="small").exists():
        make_model(workspace)
    return route_create(
        actor=SYSTEM, workspace=workspace, **{"if_contains": [""], "model": "small", **fields}
    )


def make_session(workspace: Workspace, agent: str = "helper", **fields: Any) -> Session:
    if not Agent.objects.filter(workspace=workspace, name=agent).exists():
        make_agent(workspace, agent)
    return session_create(actor=SYSTEM, workspace=workspace, agent=agent, **fields)


def make_saved_filter(workspace: Workspace, name: str, query: str = "state=failed") -> SavedFilter:
    """Make a filter of somebody of the workspace, shared with everybody there."""
    return SavedFilter.objects.create(
        workspace=workspace,
        owner=make_user(f"{name}-owner"),
        name=name,
        query=query,
        is_shared=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """One of everything in a workspace. Every name and text holds `mark`, to find it again."""

    workspace: Workspace
    mark: str
    provider: Provider
    model: Model
    route: ModelRoute
    tool: ToolDefinition
    agent: Agent
    session: Session
    run: Run
    parked_run: Run
    call: ToolCall
    approval: Approval
    grant: Grant
    delegation: Delegation
    channel: Channel
    budget: Budget
    delivery: Delivery
    saved_filter: SavedFilter
    policy: PolicyVersion
    secret: Secret

    @property
    def ids(self) -> dict[str, UUID]:
        return {
            "route": self.route.pk,
            "session": self.session.pk,
            "run": self.run.pk,
            "call": self.call.pk,
            "approval": self.approval.pk,
        }


def make_tenancy(workspace: Workspace, mark: str) -> Tenancy:
    """Fill a workspace with a row of every kind."""
    provider = make_provider(workspace, f"{mark}-provider", script=SCRIPT)
    channel = make_channel(workspace, f"{mark}-channel")
    model = model_create(
        actor=SYSTEM,
        workspace=workspace,
        name=f"{mark}-model",
        provider=provider.name,
        vendor_name=f"{mark}-vendor",
    )
    route = make_route_to(workspace, model.name, [f"{mark}-word", ""])
    tool = make_tool(workspace, f"{mark}-tool", description=f"{mark} tool")
    agent = agent_create(
        actor=SYSTEM, workspace=workspace, name=f"{mark}-agent", description=f"{mark} agent"
    )
    publish(agent, model=model.name, prompt=f"{mark} prompt")
    version_draft_save(actor=SYSTEM, agent=agent, spec={"prompt": f"{mark} draft"})
    session = session_create(
        actor=SYSTEM, workspace=workspace, agent=agent.name, title=f"{mark} title"
    )
    parked = run_start(actor=SYSTEM, workspace=workspace, agent=agent.name, input=f"{mark} parked")
    run = run_start(
        actor=SYSTEM,
        workspace=workspace,
        agent=agent.name,
        input=f"{mark} input",
        session=session.pk,
    )
    Run.objects.filter(pk=parked.pk).update(parent=run, root_id=run.pk, depth=1)
    say(run, 0, "user", f"{mark} said")
    checkpoint(run, 1, message_count=1)
    make_reservation(run, model_name=f"{mark}-model")
    call = make_call(run)
    ToolCall.objects.filter(pk=call.pk).update(tool=f"{mark}-called")
    agent.refresh_from_db()
    return Tenancy(
        workspace=workspace,
        mark=mark,
        provider=provider,
        model=model,
        route=route,
        tool=tool,
        agent=agent,
        session=session,
        run=run,
        parked_run=parked,
        call=call,
        policy=make_policy(workspace, f"# {mark}"),
        secret=make_secret(workspace, f"{mark}-secret", description=f"{mark} secret"),
        approval=make_approval(run, call, title=f"{mark} question"),
        grant=make_grant(run, call),
        delegation=make_delegation(workspace, mark),
        budget=make_budget(workspace, f"{mark}-budget"),
        channel=channel,
        delivery=channel_test(SYSTEM, channel=channel),
        saved_filter=make_saved_filter(workspace, f"{mark}-filter"),
    )


def make_route_to(workspace: Workspace, model: str, words: list[str]) -> ModelRoute:
    return route_create(actor=SYSTEM, workspace=workspace, if_contains=words, model=model)
