"""A running console with a team, people and work in it: one process, SQLite, the engine inside.

    python -m tests.e2e.browser.stage      # serves until it is ended; prints {"port": …} when ready

Browser tests and the pictures of the documentation share it. Everything but one call in doubt came
about the way it does in real life; that call needs a worker to die at the right moment, so its row
is written by hand. A folder that has been played in is served as it was left: playing once and
copying the folder gives each module of tests a stage that nobody has used.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PLAYED = "played.json"  # in its folder: what was put on the stage
PASSWORD = "correct horse battery staple"
WORKSPACE = "acme"
SETTLE_SECONDS = 30.0
START_SECONDS = 60.0

NOTES = "Write the release notes for 2.4 from the merged changes, breaking ones first."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the site is, and the runs that were played on it by what they show."""

    url: str
    token: str
    runs: dict[str, str]
    rows: dict[str, str]
    process: "subprocess.Popen[str]"


@contextmanager
def staged(folder: Path, module: str = "tests.e2e.browser.stage") -> Iterator[Stage]:
    """Serve the stage from `folder` while the block runs; `module` is another one's name.

    The folder is played in unless that was done before.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AGENTRY_") and name not in {"DATABASE_URL", "REDIS_URL"}
    }
    environment = inherited | {
        "AGENTRY_DATA_DIR": str(folder),
        "AGENTRY_ENGINE": "embedded",
        "AGENTRY_LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "agentry_site.settings.base",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"The stage ended at its start with {process.wait()}.")
        yield Stage(process=process, **json.loads(line))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def copied(played: Path, folder: Path) -> Path:
    """Copy a folder that was played in, and is not served now, to a place where none is."""
    shutil.copytree(played, folder, ignore=shutil.ignore_patterns("*.lock", "*.sock"))
    return folder


# --- the process --------------------------------------------------------------------------------


def main() -> None:
    serve(_play)


def serve(play: Callable[[], tuple[dict[str, str], dict[str, str]]]) -> None:
    """Set the site up, serve it, and tell of what `play` puts on it; returns when it is ended."""
    import django

    django.setup()
    played = Path(os.environ["AGENTRY_DATA_DIR"], PLAYED)
    token = "" if played.exists() else _begun()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            "agentry_site.asgi:application",
            lifespan="on",
            log_level="warning",
            ws="websockets-sansio",
        )
    )
    import threading

    def tell() -> None:
        while not server.started:
            time.sleep(0.02)
        if token:
            runs, rows = play()
            played.write_text(json.dumps({"token": token, "runs": runs, "rows": rows}))
        document = json.loads(played.read_text()) | {"url": f"http://127.0.0.1:{port}"}
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()

    threading.Thread(target=tell, name="play", daemon=True).start()
    server.run(sockets=[listener])


def _begun() -> str:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return _people_and_team()


def _people_and_team() -> str:
    """Make a superuser, an operator and a viewer of the workspace, an outsider, and the team."""
    import yaml

    from agents.services.apply import apply
    from governance.access import actor_of_user
    from governance.contracts import SYSTEM
    from governance.models import User
    from governance.services.members import member_add
    from governance.services.tokens import token_issue
    from governance.services.workspaces import workspace_create

    people = {
        name: User.objects.create_user(
            username=name,
            password=PASSWORD,
            email=f"{name}@acme.example",
            is_staff=True,
            is_superuser=name == "root",
        )
        for name in ("root", "olga", "victor", "nina", "otto")
    }
    root = actor_of_user(people["root"])
    acme = workspace_create(root, name=WORKSPACE, title="Acme")
    other = workspace_create(root, name="other", title="Other")
    for name, role in (("olga", "operator"), ("victor", "viewer")):
        member_add(SYSTEM, workspace=acme, username=name, roles=[role])
    member_add(SYSTEM, workspace=other, username="otto", roles=["admin"])
    team = Path(__file__).with_name("team.yaml").read_text(encoding="utf-8")
    apply(actor=root, workspace=acme, documents=list(yaml.safe_load_all(team)))
    return token_issue(root, name="pictures", workspace=acme).secret


def _play() -> tuple[dict[str, str], dict[str, str]]:
    from agents.models import Agent, Run
    from agents.services.runs import run_cancel, run_pause, run_start
    from agents.services.sessions import session_create
    from agents.services.versions import version_draft_save
    from governance.access import actor_of_user
    from governance.models import User, Workspace

    acme = Workspace.objects.get(name=WORKSPACE)
    root = actor_of_user(User.objects.get(username="root"))

    def start(agent: str, text: str, **options: Any) -> Run:
        return run_start(actor=root, workspace=acme, agent=agent, input=text, **options)

    def settled(run: Run, *states: str) -> Run:
        end = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < end:
            run.refresh_from_db()
            if run.state in states:
                return run
            time.sleep(0.05)
        raise RuntimeError(f"{run} is {run.state} and did not become {' or '.join(states)}.")

    runs: dict[str, Run] = {}
    runs["failed"] = settled(start("translator", "Translate the manual to Czech."), "failed")
    runs["yielded"] = settled(start("link-checker", "Check all links of the docs."), "yielded")
    runs["waiting"] = settled(start("weekly-report", "Report the week."), "waiting")
    cancelled = start("inbox-triage", "Sort yesterday's inbox.")
    settled(cancelled, "running")
    runs["cancelled"] = run_cancel(actor=root, run_id=cancelled.pk, reason="Sorted by hand.")
    session = session_create(actor=root, workspace=acme, agent="greeter", title="Good morning")
    settled(start("greeter", "How are you?", session=session.pk), "succeeded")
    runs["session"] = settled(start("greeter", "And now?", session=session.pk), "succeeded")
    runs["doubtful"] = settled(start("weekly-report", "Send the report to the board."), "waiting")
    call = _put_in_doubt(runs["doubtful"])
    paused = start("inbox-triage", "Sort the inbox of support.")
    settled(paused, "running")
    run_pause(actor=root, run_id=paused.pk)
    runs["paused"] = settled(paused, "paused")
    runs["succeeded"] = settled(start("release-notes", NOTES), "succeeded")
    runs["running"] = settled(start("inbox-triage", "Sort today's inbox, urgent first."), "running")

    notes = Agent.objects.select_related("published").get(name="release-notes")
    assert notes.published is not None
    spec = dict(notes.published.spec)
    spec["prompt"] = spec["prompt"].replace("One sentence a change.", "At most two sentences.")
    draft = version_draft_save(actor=root, agent=notes, spec=spec, note="Allow two sentences.")
    rows = {
        **_govern(root, acme),
        "agent": str(notes.pk),
        "draft": str(draft.pk),
        "version": str(notes.published_id),
        "session": str(session.pk),
        "call": call,
        "child": str(Run.objects.get(agent_name="editor").pk),
    }
    from django.db import connection

    connection.close()
    return {name: str(run.pk) for name, run in runs.items()}, rows


def _govern(root: Any, acme: Any) -> dict[str, str]:
    """Put a policy in force, ask another as a shadow, draft a third; make a channel that nobody
    answers; declare a tool without a sandbox, which takes a switch of the site otherwise."""
    from governance.services.channels import channel_create
    from governance.services.deliveries import channel_test
    from governance.services.policies import policy_publish, policy_put
    from plugins.models import ToolDefinition

    _spend(acme)
    budgets = _budgets(root, acme)

    def rules(*lines: str) -> str:
        return "\n".join(("version: 1", "rules:", *(f"  - {line}" for line in lines), ""))

    free = "{name: small-tools-are-free, tools: [echo, todo, ls, view, wait], effect: allow}"
    writing = "{name: writing-is-asked-about, tools: [write], effect: ask, reason: Files stay.}"
    asked = "{name: echoes-are-asked-about, tools: [echo], effect: ask, reason: They fill it.}"
    never = "{name: no-echoes, tools: [echo], effect: deny, reason: Echoes fill the ledger.}"
    cases = "cases:\n  - {name: looking is free, input: {tool: {name: ls}}, expect: allow}\n"
    for lines, as_shadow, note in (
        ((free,), False, "What everybody agreed on."),
        ((asked, free), True, "Shall people be asked about echoes?"),
    ):
        policy_put(root, workspace=acme, source=rules(*lines), cases=cases)
        policy_publish(root, workspace=acme, as_shadow=as_shadow, note=note)
    policy = policy_put(root, workspace=acme, source=rules(never, writing, free))
    channel = channel_create(
        root, workspace=acme, name="ops", kind="webhook", url="http://127.0.0.1:9/hooks"
    ).channel
    delivery = channel_test(root, channel=channel)
    tool = ToolDefinition.objects.create(
        workspace=acme, name="restart_service", kind="command", effect="irreversible",
        description="Restarts a service on the worker's host.", engine="disabled",
        command="systemctl restart $ARG_NAME", input_schema={"type": "object"},
    )  # fmt: skip
    return {
        "policy": str(policy.pk),
        "channel": str(channel.pk),
        "delivery": str(delivery.pk),
        "tool": str(tool.pk),
        **budgets,
        "fork": _forked(root),
    }


def _budgets(root: Any, acme: Any) -> dict[str, str]:
    """Set budgets a month, a week and a day long: one has room, one hardly any, one none."""
    from decimal import Decimal

    from governance.models import BudgetAccount
    from governance.services.budgets import budget_create

    limits: list[tuple[str, int, dict[str, Any]]] = [
        ("everything", 400, {"kind": "workspace"}),
        ("translator", 25, {"kind": "agent", "agent": "translator", "period": "day"}),
        ("olga", 60, {"kind": "user", "user": "olga", "period": "week"}),
        ("victor", 40, {"kind": "user", "user": "victor", "period": "week"}),
    ]
    made = [
        budget_create(root, workspace=acme, name=name, limit_usd=Decimal(usd), **whose)
        for name, usd, whose in limits
    ]
    for row, spent, reserved in zip(made, (268, 21, 12, 40), (9, 1, 0, 0), strict=True):
        BudgetAccount.objects.filter(budget=row).update(
            spent_usd=Decimal(spent), reserved_usd=Decimal(reserved)
        )
    return {
        "budget": str(made[0].pk),
        "budget-nearly": str(made[1].pk),
        "budget-used-up": str(made[3].pk),
    }


def _forked(root: Any) -> str:
    """Fork the run that wrote release notes, with another wish; nobody waits for its end."""
    from agents.models import Run
    from agents.services.runs import run_fork

    origin = Run.objects.get(agent_name="release-notes")
    return str(run_fork(actor=root, run_id=origin.pk, checkpoint=2, message="Shorter.").pk)


def _spend(acme: Any) -> None:
    """Write down what asking vendors comes to: scripts, which play here, cost nothing."""
    from decimal import Decimal

    from governance.models import User
    from observability.models import UsageHour
    from observability.selectors.usage import hours_back

    people = [str(User.objects.get(username=name).pk) for name in ("olga", "root")]
    spenders = (
        ("release-notes", "sonnet", "anthropic", "0.31", range(8, 19)),
        ("weekly-report", "gpt-5", "openai", "0.12", range(6, 9)),
        ("inbox-triage", "mini", "openai", "0.013", range(24)),
        ("translator", "llama-70b", "our-servers", None, range(9, 17)),
    )
    rows = []
    for back in range(45 * 24):
        hour = hours_back(back)
        for place, (agent, model, provider, usd, busy) in enumerate(spenders):
            calls = (hour.hour * 7 + hour.day * 13 + place * 5) % 17 if hour.hour in busy else 0
            if not calls or (hour.weekday() > 4 and place != 2):
                continue
            tokens = calls * 2_300
            rows.append(
                UsageHour(
                    workspace_id=acme.pk, hour=hour, agent=agent, model=model, provider=provider,
                    user=people[(hour.day + place) % 2], calls=calls, input_tokens=tokens,
                    output_tokens=tokens // 9, cache_read_tokens=tokens // 3,
                    cost_usd=calls * Decimal(usd or 0), unknown_calls=0 if usd else calls,
                    unknown_input_tokens=0 if usd else tokens,
                    unknown_output_tokens=0 if usd else tokens // 9,
                )
            )  # fmt: skip
    UsageHour.objects.bulk_create(rows, batch_size=500)


def _put_in_doubt(run: Any) -> str:
    """Write what a dead worker leaves behind: an irreversible call without an outcome."""
    from agents.models import Run
    from core import clock
    from plugins.contracts import CallState, EffectClass
    from plugins.models import ToolCall

    call = ToolCall.objects.get(run_id=run.pk)
    ToolCall.objects.filter(pk=call.pk).update(
        tool="send_mail",
        effect=EffectClass.IRREVERSIBLE.value,
        state=CallState.IN_DOUBT.value,
        arguments={
            "to": "board@acme.example",
            "subject": "The week in numbers",
            "body": "1,284 runs, 99.2 % finished at the first attempt.",
        },
        attempt=1,
        wait=None,
        dispatched_at=clock.now(),
        reason="The worker died after the call was sent; nothing was recorded of its outcome.",
        decision={"is_allowed": True, "rule": "by-hand", "is_unprotected": True},
    )
    Run.objects.filter(pk=run.pk).update(wait_kind="in_doubt", wake_at=None)
    return str(call.pk)


if __name__ == "__main__":
    main()
