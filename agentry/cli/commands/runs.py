"""`agentry runs …`: look at runs and steer them."""

import sys
from typing import Annotated, Any

import typer

from agentry.cli.commands import run_files
from agentry.cli.commands.arguments import limits_of
from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command
from agentry.cli.output import (
    Column,
    Row,
    dollars,
    print_fields,
    print_table,
    seconds_ago,
    shown,
)
from agentry.cli.terminal import escaped, one_line, plain
from agentry.client.calls import runs
from agentry.client.errors import Conflict

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
All = Annotated[bool, typer.Option("--all", help="Every page, not only the first.")]
PageSize = Annotated[int, typer.Option("--page-size", min=1, max=200, help="How many at once.")]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=VALUE",
        help="iterations=50, tokens=100000, cost_usd=0.50 or wall_seconds=600; repeatable.",
    ),
]


_BEING_CANCELLED = "is being cancelled; it ends at its next step, after its children."


def state_of(row: Row) -> str:
    waits = row.get("wait_kind")
    return f"{row.get('state')} ({waits})" if waits else str(row.get("state"))


def cost_of(row: Row) -> str:
    return ("≥ " if row.get("cost_is_partial") else "") + dollars(row.get("cost_usd") or "0")


def tokens_of(row: Row) -> object:
    return (row.get("usage") or {}).get("total_tokens")


COLUMNS = (
    Column("ID", "id"),
    Column("AGENT", "agent", 24),
    Column("STATE", state_of, 24),
    Column("STEPS", "iteration"),
    Column("TOKENS", tokens_of),
    Column("COST", cost_of),
    Column("AGE", lambda row: seconds_ago(row.get("created_at"))),
    Column("INPUT", "input", 40),
)


def print_run(run: Row) -> None:
    usage = run.get("usage") or {}
    fields: list[tuple[str, object]] = [
        ("Run", run.get("id")),
        ("Agent", f"{run.get('agent')} v{run.get('version')}"),
        ("State", state_of(run)),
        ("Reason", run.get("reason")),
        ("Asked for", f"{run['control']} by {run.get('control_by')}" if run.get("control") else ""),
        ("Session", run.get("session")),
        ("Parent", run.get("parent")),
        ("Forked from", (run.get("forked_from") or {}).get("run")),
        ("Replay of", run.get("replay_of")),
        ("Requested by", run.get("requested_by_name") or run.get("requested_by")),
        ("By way of", _way_of(run)),
        ("Created", run.get("created_at")),
        ("Started", run.get("started_at")),
        ("Finished", run.get("finished_at")),
        ("Limits", _limits(run.get("limits") or {})),
        ("Steps", run.get("iteration")),
        ("Tokens", f"{usage.get('input_tokens', 0)} in, {usage.get('output_tokens', 0)} out"),
        ("Cost", cost_of(run)),
        ("Link", run.get("url")),
        ("Input", run.get("input")),
        ("Output", run.get("output")),
    ]
    print_fields([(title, value) for title, value in fields if value not in (None, "", {})])


def _way_of(run: Row) -> object:
    """Where a run was asked for; what it was sent with is only what the request said of itself."""
    surface, client = run.get("surface"), run.get("client")
    return f"{client}, through {surface} (as the client says of itself)" if client else surface


def _limits(limits: Row) -> str:
    """Those that are set, the way `--limit` takes them."""
    return ", ".join(f"{name}={value}" for name, value in limits.items() if value is not None)


def _told(inv: Invocation, run: Row, sentence: str) -> None:
    """Print the run as data, or one sentence about it for people."""
    inv.show(run, lambda value: print(plain(f"{value['id']} {sentence.format(**value)}")))


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Look at runs and steer them.")
    parent.add_typer(app, name="runs", rich_help_panel="Work")
    _register_reading(app)
    run_files.register(app)
    _register_telling(app)
    _register_control(app)
    _register_copies(app)


def _register_reading(app: typer.Typer) -> None:
    @command(app, "ls")
    def ls(
        inv: Invocation,
        state: Annotated[str | None, typer.Option(help="Only runs in this state.")] = None,
        agent: Annotated[str | None, typer.Option(help="Only runs of this agent.")] = None,
        session: Annotated[str | None, typer.Option(help="Only runs of this session.")] = None,
        parent: Annotated[str | None, typer.Option(help="Only children of this run.")] = None,
        root: Annotated[str | None, typer.Option(help="Only the tree of this run.")] = None,
        search: Annotated[str | None, typer.Option("--search", "-s", help="Words in it.")] = None,
        page_size: PageSize = 30,
        everything: All = False,
    ) -> None:
        """List runs, newest first."""
        call = runs.listing(
            state=state,
            agent=agent,
            session=session,
            parent=parent,
            root=root,
            q=search,
            limit=page_size,
        )
        inv.listing(call, COLUMNS, everything=everything)

    @command(app, "show")
    def show(inv: Invocation, run: RunId) -> None:
        """Show one run in full."""
        inv.show(inv.fetch(runs.get(run)), print_run)

    @command(app, "messages")
    def messages(inv: Invocation, run: RunId) -> None:
        """Show the history the model sees."""
        rows = _everything(inv, runs.messages(run, limit=200))
        inv.show(rows, _print_messages)

    @command(app, "events")
    def events(
        inv: Invocation,
        run: RunId,
        after: Annotated[int, typer.Option(help="Only what came after this sequence.")] = 0,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    ) -> None:
        """List everything that happened in a run."""
        if follow:
            _follow_events(inv, run, after)
            return
        rows = _everything(inv, runs.events(run, after=after, limit=200))
        inv.show(rows, lambda found: print_table(found, EVENT_COLUMNS))

    @command(app, "trace")
    def trace(
        inv: Invocation,
        run: RunId,
        form: Annotated[
            str, typer.Option(help="native, or legacy for the earlier tool.")
        ] = "native",
    ) -> None:
        """Export the whole trace as JSON lines."""
        sys.stdout.write(escaped(inv.client.send(runs.trace(run, form=form))))


def _register_telling(app: typer.Typer) -> None:
    @command(app, "why")
    def why(inv: Invocation, run: RunId) -> None:
        """Say why a run is in the state it is in, and what would change that."""
        inv.show(inv.fetch(runs.why(run)), _print_why)

    @command(app, "watch")
    def watch(
        inv: Invocation,
        run: RunId,
        after: Annotated[int, typer.Option(help="Only what came after this event.")] = 0,
    ) -> None:
        """Watch a run live until it ends. Ctrl-C stops watching, not the run."""
        from agentry.cli.live.follow import watch_run

        watch_run(inv, run, after=after)


def _register_control(app: typer.Typer) -> None:
    @command(app, "pause")
    def pause(inv: Invocation, run: RunId) -> None:
        """Ask a run to stop at its next step."""
        _told(inv, inv.fetch(runs.pause(run)), "is {state}; it stops at its next step.")

    @command(app, "resume")
    def resume(inv: Invocation, run: RunId, limit: LimitOption = None) -> None:
        """Let a paused or yielded run go on, with raised limits if given."""
        _told(inv, inv.fetch(runs.resume(run, limits=limits_of(limit))), "is {state}.")

    @command(app, "cancel")
    def cancel(
        inv: Invocation,
        run: list[str] = typer.Argument(metavar="RUN...", help="The runs' ids."),  # noqa: B008
        reason: Annotated[str | None, typer.Option(help="Kept in the run's record.")] = None,
    ) -> None:
        """Cancel runs and all their children."""
        was_late = False
        for each in run:
            try:
                run_now = inv.fetch(runs.cancel(each, reason=reason))
                is_over = run_now.get("state") == "cancelled"
                _told(inv, run_now, "is cancelled." if is_over else _BEING_CANCELLED)
            except Conflict as error:
                if len(run) == 1:
                    raise
                print(plain(f"Error: {each}: {error}"), file=sys.stderr)
                was_late = True
        if was_late:
            raise typer.Exit(ExitCode.CONFLICT)


def _register_copies(app: typer.Typer) -> None:
    @command(app, "fork")
    def fork(
        inv: Invocation,
        run: RunId,
        checkpoint: Annotated[
            int | None, typer.Option("--at", help="From this checkpoint; default: the last.")
        ] = None,
        model: Annotated[str | None, typer.Option(help="With this model.")] = None,
        message: Annotated[
            str | None, typer.Option(help="With this text as the last user message.")
        ] = None,
        start: Annotated[bool, typer.Option(help="Start it at once, or leave it paused.")] = True,
        watch: Annotated[bool, typer.Option("--watch", help="Watch the new run.")] = False,
    ) -> None:
        """Make a new run from a checkpoint of another."""
        call = runs.fork(run, checkpoint=checkpoint, model=model, message=message, start=start)
        _new(inv, inv.fetch(call), watch=watch)

    @command(app, "replay")
    def replay(
        inv: Invocation,
        run: RunId,
        watch: Annotated[bool, typer.Option("--watch", help="Watch the new run.")] = False,
    ) -> None:
        """Run a finished run again against its recorded answers."""
        _new(inv, inv.fetch(runs.replay(run)), watch=watch)


def _new(inv: Invocation, run: Row, *, watch: bool) -> None:
    if watch:
        from agentry.cli.live.follow import watch_run

        watch_run(inv, str(run["id"]))
    else:
        _told(inv, run, "is {state}.")


EVENT_COLUMNS = (
    Column("SEQ", "sequence"),
    Column("AT", "at", 32),
    Column("KIND", "kind"),
    Column("PAYLOAD", lambda row: shown(row.get("payload")), 120),
)


def _everything(inv: Invocation, call: Any) -> list[Row]:
    page = inv.fetch(call)
    rows: list[Row] = list(page["items"])
    while page.get("next_cursor"):
        page = inv.fetch(call.at(page["next_cursor"]))
        rows += page["items"]
    return rows


def _follow_events(inv: Invocation, run: str, after: int) -> None:
    """One event a line as it comes; as JSON lines unless a table was asked for."""
    import msgspec

    for event in inv.client.runs.stream(run, after=after):
        if inv.is_table:
            print(f"{event.sequence:>6}  {event.kind:<18}  {one_line(shown(event.payload))}")
        else:
            print(escaped(msgspec.json.encode(event).decode()))
        sys.stdout.flush()


def _print_messages(rows: list[Row]) -> None:
    for row in rows:
        _print_message(row)


def _print_message(row: Row) -> None:
    hidden = "  (hidden: reading it takes run.payload)" if row.get("payload_hidden") else ""
    print(f"[{row.get('position')}] {plain(row.get('role'))}{hidden}")
    for part in row.get("parts") or ():
        match part.get("type"):
            case "tool_call":
                told = f"→ {part.get('name')} {shown(part.get('arguments'))}"
            case "tool_call_response":
                told = f"← {shown(part.get('result'))}"
            case "reasoning":
                told = f"({part.get('content', '')})"
            case _:
                told = str(part.get("content", ""))
        for line in plain(told).split("\n"):
            print(f"    {line}")


def _print_why(why: Row) -> None:
    summary = why.get("summary")
    if why.get("payload_hidden") and not summary:
        print(plain(f"It is {why.get('state')}. Why, in its words, takes run.payload."))
    else:
        print(plain(summary or why.get("state")))
    for reason in why.get("reasons", ()):
        told = reason.get("sentence") or str(reason.get("code", "")).replace("_", " ")
        if told != summary:
            print(plain(f"- {told}"))
        if reason.get("remedy"):
            print(plain(f"  {reason['remedy']}"))
