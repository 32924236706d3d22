"""Marker words in every place where a workspace keeps payload, put there by runs that are played.

Each place has a word of its own, so that a leak says what leaked, and so that somebody who may see
payloads can be asked to have seen every one of them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agents.contracts import RunState
from agents.execution.failures import failures_tell
from agents.models import Run
from agents.providers.script_reader import read_script
from agents.services.runs.debugging import run_debug_set, run_step
from agents.services.runs.editing import run_add_message, run_edit_arguments, run_edit_message
from core import clock
from governance.contracts import SYSTEM, Actor, ChannelEvent
from governance.execution.delivering import deliveries_send
from governance.execution.telling import deliveries_missed
from governance.models import Delivery, PolicyDifference, Workspace
from governance.services.approvals import approval_decide, grant_give, grant_revoke
from governance.services.channels import channel_create
from governance.services.letters import letters_set
from plugins.contracts import CallState
from plugins.models import ToolCall
from plugins.services.calls import call_resolve
from tests.factories.agents import make_approval, make_call, make_session, make_tool
from tests.integration.agents.approvals.kit import ASK, PayTool, parked, person, publish
from tests.integration.agents.execution.kit import Engine, begin, boss, script_agent

MARK: Final = "zqx"
WRITTEN: Final = "Z-Q-X"  # what stands for it in scripts

# Where words are planted. Who may see payloads sees each of them somewhere.
PLACES: Final = frozenset(
    {
        "input", "variable", "modeltext", "reasoning", "output", "argument", "file", "filename",
        "edited", "yesreason", "childinput", "childtext", "childoutput", "longtext",
        "fetchpath", "fetchquery", "fetched", "orderargument", "ordered", "errorbody",
        "deniedargument", "denyreason", "failure", "sleepinput", "waitingargument",
        "breakpoint", "firstmessage", "editedmessage", "addedmessage", "heldargument",
        "editedargument", "doubtargument", "doubtreason", "resolvenote", "resolveresult",
        "question", "planned", "planline", "grantargument", "grantreason", "revokereason",
        "differs", "shadowdiffers", "stdout", "stderr", "tooltext",
    }
)  # fmt: skip
# Kept and shown to nobody.
NEVER_SHOWN: Final = frozenset({"key"})
# Whole names, the longest first: tokens of forms are letters at random, and some hold the mark.
_NAMES: Final = "|".join(sorted(PLACES | NEVER_SHOWN, key=lambda name: (-len(name), name)))
_WORD: Final = re.compile(f"{MARK}({_NAMES})")
ANY: Final = {"type": "object", "properties": {}, "additionalProperties": True}
GRANTABLE: Final = {**ASK, "is_grantable": True}


def word(place: str) -> str:
    assert place in PLACES | NEVER_SHOWN, f"{place!r} is no place that is looked for"
    return MARK + place


def places_in(text: str) -> set[str]:
    """Return the places whose words a text holds."""
    return set(_WORD.findall(text))


def ledger_tool() -> PayTool:
    """A privileged tool inside the process: policies ask about it, and it says a word."""
    tool = PayTool("ledger", input_schema=ANY)
    answered = tool.call

    async def call(arguments: Mapping[str, Any], context: Any) -> Any:
        result = await answered(arguments, context)
        return type(result)(text=f"Booked {word('tooltext')}.")

    tool.call = call  # type: ignore[method-assign]  # of this one
    return tool


@dataclass(slots=True)
class Planted:
    """What was played, by what it shows."""

    workspace: Workspace
    engine: Engine
    host: str
    decider: Actor
    runs: dict[str, Run] = field(default_factory=dict)

    def begin(self, agent: str, text: str = "go on", **options: Any) -> Run:
        self.runs[agent] = begin(self.workspace, text, agent=agent, **options)
        return self.runs[agent]


def calls(*asked: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {**more, "tool_calls": [{"name": name, "arguments": given} for name, given in asked]}


def agent(scene: Planted, name: str, *steps: dict[str, Any], **spec: Any) -> None:
    """Make an agent whose model says these steps; what an author wrote down holds no word."""
    script = json.dumps({"steps": list(steps)}).replace(MARK, WRITTEN)
    script_agent(scene.workspace, script, name=name, **spec)


def script_spoken(text: str) -> Any:
    """Read a script as a model that knows the words."""
    return read_script(text.replace(WRITTEN, MARK))


def prepare(engine: Engine, workspace: Workspace, host: str) -> Planted:
    """Make tools, a policy that asks, agents, and start the engine; `host` answers requests."""
    scene = Planted(workspace, engine, host, person(workspace, "gus", "admin"))
    given: dict[str, Any] = {"input_schema": ANY, "is_privileged": False}
    for name, way in (("orders", "found"), ("broken", "broken")):
        make_tool(workspace, name, url=f"http://{host}/{way}", method="GET", effect="read", **given)
    first, rest = MARK[:1], MARK[1:]  # what it says is not what is declared
    command = f"printf '{first}%s' {rest}stdout; printf '{first}%s' {rest}stderr >&2; exit 3"
    make_tool(
        workspace, "local", kind="command", url="", command=command, effect="read", **given,
    )  # fmt: skip
    publish(workspace, write=ASK, ledger=GRANTABLE)
    _lead(scene)
    agent(scene, "failing", {"error": {"kind": "auth", "message": word("failure")}})
    agent(scene, "sleeper", calls(("wait", {"seconds": 9000})), tools=["wait"])
    agent(scene, "asker", calls(("agent", {"agent": "sleeper", "input": word("sleepinput")}),
          ("ledger", {"note": word("waitingargument")})), tools=["ledger"],
          delegates=["sleeper"])  # fmt: skip
    agent(scene, "held", calls(("echo", {"text": word("heldargument")})), {"text": "Done."},
          tools=["echo"])  # fmt: skip
    agent(scene, "granted", calls(("ledger", {"note": word("grantargument")})), {"text": "Done."},
          tools=["ledger"])  # fmt: skip
    agent(scene, "runner", calls(("local", {})), {"text": "Done."}, tools=["local"])
    engine.start(allow_hosts=(host,))
    return scene


def _lead(scene: Planted) -> None:
    agent(
        scene, "worker",
        calls(("echo", {"text": word("longtext") + " X" * 20_000}), text=word("childtext")),
        {"text": word("childoutput")},
        tools=["echo"],
    )  # fmt: skip
    first = calls(
        ("write", {"path": f"{word('filename')}.txt", "content": word("file")}),
        ("echo", {"text": word("argument")}),
        ("agent", {"agent": "worker", "input": word("childinput")}),
        ("fetch", {"url": f"http://{scene.host}/{word('fetchpath')}?q={word('fetchquery')}"}),
        ("orders", {"note": word("orderargument")}),
        ("broken", {}),
        text=word("modeltext"),
        reasoning=word("reasoning"),
    )
    second = calls(("ledger", {"note": word("deniedargument")}))
    agent(
        scene, "lead", first, second, {"text": word("output")},
        prompt="You serve {{who}}.",
        tools=["write", "echo", "fetch", "orders", "broken", "ledger"],
        delegates=["worker"],
    )  # fmt: skip


def play(scene: Planted) -> None:
    """Play every run to where it is to be seen."""
    _play_lead(scene)
    scene.engine.until(scene.begin("failing"), RunState.FAILED)
    scene.engine.until(scene.begin("runner"))
    _play_granted(scene)
    asker = scene.begin("asker")
    parked(scene.engine, asker)
    _play_held(scene)
    _doubt(scene, asker)
    _differ(scene, asker)


def begin_lead(scene: Planted) -> Run:
    """Start the run that plants most; apart, so that it can be followed from its beginning."""
    return scene.begin(
        "lead", word("input"), variables={"who": word("variable")}, idempotency_key=word("key"),
        session=make_session(scene.workspace, "lead").pk,
    )  # fmt: skip


def _play_lead(scene: Planted) -> None:
    lead = scene.runs["lead"]
    (writing,) = parked(scene.engine, lead)
    other = {**(writing.arguments or {}), "content": word("edited")}
    decided(scene, writing.pk, "approve", word("yesreason"), arguments=other)
    (booking,) = parked(scene.engine, lead)
    decided(scene, booking.pk, "deny", word("denyreason"))
    scene.engine.until(lead)


def decided(scene: Planted, approval_id: Any, verdict: str, reason: str, **more: Any) -> None:
    approval_decide(
        actor=scene.decider, approval_id=approval_id, verdict=verdict, reason=reason, **more
    )


def _play_granted(scene: Planted) -> None:
    run = scene.begin("granted")
    (asked,) = parked(scene.engine, run)
    grant = grant_give(
        actor=scene.decider,
        approval_id=asked.pk,
        pattern={"arguments": {"note": {"equals": word("grantargument")}}},
        reason=word("grantreason"),
    )
    scene.engine.until(run)
    scene.engine.until(scene.begin("granted"))  # unasked
    grant_revoke(actor=scene.decider, grant_id=grant.pk, reason=word("revokereason"))


def _play_held(scene: Planted) -> None:
    """A run that stands before a call, with what people changed about it."""
    settings = {
        "step": "both",
        "breakpoints": [{"kind": "text", "value": word("breakpoint")}],
    }
    run = scene.begin("held", word("firstmessage"), debug=settings)
    who: dict[str, Any] = {"actor": boss(), "run_id": run.pk}
    scene.engine.until(run, RunState.PAUSED)
    run_edit_message(**who, version=run.debug_version, position=0, text=word("editedmessage"))
    run.refresh_from_db()
    run_add_message(**who, version=run.debug_version, text=word("addedmessage"))
    run.refresh_from_db()
    run_step(**who, version=run.debug_version)
    scene.engine.until(run, RunState.PAUSED, iteration=1)
    call = ToolCall.objects.get(run_id=run.pk)
    run_edit_arguments(
        **who,
        version=run.debug_version,
        call_id=call.pk,
        arguments={"text": word("editedargument")},
    )
    run.refresh_from_db()
    run_debug_set(**who, version=run.debug_version, settings=settings)


def _doubt(scene: Planted, run: Run) -> None:
    """Calls whose outcome nobody knows: one asked about, one that somebody has settled."""
    doubtful, settled = make_call(run, index=7), make_call(run, index=8)
    ToolCall.objects.filter(pk__in=[doubtful.pk, settled.pk]).update(
        arguments={"note": word("doubtargument")}, reason=word("doubtreason")
    )
    doubtful.refresh_from_db()
    plan = {"summary": word("planned"), "difference": f"--- a\n+++ b\n+{word('planline')}\n"}
    make_approval(run, doubtful, question=word("question"), evidence={"plan": plan})
    call_resolve(
        actor=boss(), call_id=settled.pk, outcome="committed", result=word("resolveresult"),
        note=word("resolvenote"),
    )  # fmt: skip
    assert ToolCall.objects.get(pk=settled.pk).state == CallState.COMMITTED.value


def _differ(scene: Planted, run: Run) -> None:
    """What a shadow would have said; a reason of a policy may quote what it was asked."""
    call = ToolCall.objects.filter(run_id=run.pk).latest("pk")
    version = publish(scene.workspace, write=ASK, ledger=GRANTABLE)
    PolicyDifference.objects.create(
        workspace=scene.workspace, version=version, call_id=call.pk, run_id=run.pk, tool=call.tool,
        decided_by="1", effect="allow", rule="fine", reason=word("differs"), shadow_effect="deny",
        shadow_rule="never", shadow_reason=word("shadowdiffers"), at=clock.now(),
    )  # fmt: skip


def channels(scene: Planted, place: str) -> None:
    """Have everything told: by webhook and Slack to `place`, and by letters."""
    events = [event.value for event in ChannelEvent if event is not ChannelEvent.TEST]
    ways: dict[str, dict[str, Any]] = {
        "webhook": {"url": f"http://{place}/hook"},
        "slack": {"url": f"http://{place}/slack", "secret": "a signing secret of slack"},
        "email": {"addresses": ["list@acme.example"]},
    }
    for kind, fields in ways.items():
        channel_create(
            SYSTEM, workspace=scene.workspace, name=kind, kind=kind, events=events, **fields
        )
    letters_set(boss(), workspace=scene.workspace, events=events)


def tell(scene: Planted) -> None:
    """Write down and send all news there is."""
    failures_tell()
    deliveries_missed()
    while deliveries_send():
        pass
    told = set(Delivery.objects.values_list("channel__kind", "event", "state"))
    for kind in ("webhook", "slack", "email"):
        for event in ("approval.asked", "approval.decided", "run.failed"):
            assert (kind, event, "delivered") in told, told
