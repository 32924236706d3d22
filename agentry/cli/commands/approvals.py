"""`agentry approvals …`: questions to people, and answering them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from agentry.cli.commands.arguments import seconds_of
from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import (
    UNPROTECTED,
    Column,
    Row,
    print_danger,
    print_fields,
    seconds_ago,
)
from agentry.cli.terminal import plain
from agentry.client.calls import governing, granting

SEEN = "Its binding_digest as `show` printed it; needed where somebody changed the arguments."
ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL", help="The approval's id.")]
# Questions that do not take approval.decide.
_PERMISSIONS = {"budget_raise": "budget.edit", "in_doubt": "tool_call.resolve"}


def _for_whom(row: Row) -> str:
    named = ", ".join(row.get("approvers") or ())
    permission = _PERMISSIONS.get(str(row.get("kind")), "approval.decide")
    return named or f"who has {permission}"


COLUMNS = (
    Column("ID", "id"),
    Column("TITLE", "title", 50),
    Column("STATE", "state"),
    Column("FOR", _for_whom),
    Column("REQUESTER", "requester"),
    Column("AGE", lambda row: seconds_ago(row.get("created_at"))),
    Column("EXPIRES", "expires_at", 32),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Questions to people, and answering them.")
    parent.add_typer(app, name="approvals", rich_help_panel="Work")

    @command(app, "ls")
    def ls(
        inv: Invocation,
        state: Annotated[
            str, typer.Option(help="pending, approved, denied, expired or withdrawn.")
        ] = "pending",
        run: Annotated[str | None, typer.Option(help="Of this run.")] = None,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List approvals; by default those that wait for somebody."""
        call = governing.approvals(state=state, run=run, limit=50)
        inv.listing(call, COLUMNS, everything=everything)

    @command(app, "show")
    def show(inv: Invocation, approval: ApprovalId) -> None:
        """Show one approval: what is asked, of whom, bound to what, and what was said."""
        inv.show(inv.fetch(governing.approval(approval)), _print_approval)

    @command(app, "approve")
    def approve(
        inv: Invocation,
        approval: ApprovalId,
        reason: Annotated[str | None, typer.Option(help="Kept in the record.")] = None,
        seen: Annotated[str | None, typer.Option(help=SEEN)] = None,
    ) -> None:
        """Say yes to exactly what was asked; its run goes on."""
        call = governing.approve(approval, reason=reason, binding_digest=seen)
        inv.show(inv.fetch(call), _print_state)

    @command(app, "deny")
    def deny(
        inv: Invocation,
        approval: ApprovalId,
        reason: Annotated[str, typer.Option(help="The model is told, and goes on with that.")],
    ) -> None:
        """Say no; nothing is done."""
        inv.show(inv.fetch(governing.deny(approval, reason=reason)), _print_state)

    @command(app, "edit")
    def edit(
        inv: Invocation,
        approval: ApprovalId,
        arguments: Annotated[
            str, typer.Option(help="The whole new arguments as JSON, or @ and a file's name.")
        ],
        reason: Annotated[str | None, typer.Option(help="The model is told.")] = None,
    ) -> None:
        """Say yes to other arguments than were asked; both are kept."""
        call = governing.approve(approval, reason=reason, arguments=_arguments(arguments))
        inv.show(inv.fetch(call), _print_state)

    _register_grant(app)


def _register_grant(app: typer.Typer) -> None:
    @command(app, "choose")
    def choose(
        inv: Invocation,
        approval: ApprovalId,
        choice: Annotated[str, typer.Argument(help="One of its choices; `show` lists them.")],
        reason: Annotated[str | None, typer.Option(help="Kept in the record.")] = None,
    ) -> None:
        """Answer what has choices of its own, such as whether a call in doubt happened."""
        call = governing.choose(approval, choice, reason=reason)
        inv.show(inv.fetch(call), _print_state)

    @command(app, "grant")
    def grant(
        inv: Invocation,
        approval: ApprovalId,
        pattern: Annotated[
            str | None,
            typer.Option(help="Which calls, as JSON, or @ and a file's name; else as proposed."),
        ] = None,
        count: Annotated[int | None, typer.Option(help="How many calls; else any number.")] = None,
        lasts: Annotated[
            str | None, typer.Option("--for", help="How long: 12h, 30d; a week if not said.")
        ] = None,
        any_agent: Annotated[bool, typer.Option("--any-agent", help="Of every agent.")] = False,
        any_requester: Annotated[
            bool, typer.Option("--any-requester", help="Whoever asks, but for yourself.")
        ] = False,
        reason: Annotated[str | None, typer.Option(help="Kept in the record.")] = None,
        agrees: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    ) -> None:
        """Say yes to this and to calls alike; shows the pattern before it is given."""
        proposal = inv.fetch(granting.grant_proposal(approval))
        chosen = proposal["pattern"] if pattern is None else _arguments(pattern)
        shown = {"tool": proposal["tool"], "pattern": chosen, "arguments": proposal["arguments"]}
        inv.say(json.dumps(shown, indent=2, ensure_ascii=False))
        if proposal["refusal"]:
            raise usage_error(proposal["refusal"], code=ExitCode.FORBIDDEN)
        if not agrees and not typer.confirm("Grant calls like this?", default=False, err=True):
            raise typer.Exit(ExitCode.USAGE)
        call = granting.grant(
            approval,
            chosen,
            any_agent=any_agent or None,
            any_requester=any_requester or None,
            uses=count,
            seconds=None if lasts is None else seconds_of(lasts, "--for"),
            reason=reason,
        )
        inv.show(
            inv.fetch(call),
            lambda row: print(plain(f"{row['id']} holds until {row['expires_at']}.")),
        )


def _arguments(text: str) -> dict[str, Any]:
    try:
        content = Path(text[1:]).read_text("utf-8") if text.startswith("@") else text
        found = json.loads(content)
    except (OSError, UnicodeDecodeError) as error:
        raise usage_error(f"The arguments cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise usage_error(f"The arguments are not JSON: {error}") from error
    if not isinstance(found, dict):
        raise usage_error("The arguments are not a JSON object.", 'Write {"name": "value"}.')
    return found


def _print_state(approval: Row) -> None:
    needed = ""
    if approval["state"] == "pending":
        counted = sum(
            vote["is_counted"] and vote["verdict"] == "approve" for vote in approval["votes"]
        )
        needed = f" ({counted} of {approval['quorum']} have said yes)"
    print(plain(f"{approval['id']} is {approval['state']}{needed}."))


def _print_approval(approval: Row) -> None:
    evidence = approval.get("evidence") or {}
    shown = [(name, value) for name, value in approval.items() if value not in (None, "", [])]
    # The facts of the binding are digests, for programs; what people compare is its own digest.
    print_fields([(name, value) for name, value in shown if name not in ("evidence", "binding")])
    if (evidence.get("sandbox") or {}).get("is_unprotected"):
        print_danger(UNPROTECTED)
    for source in evidence.get("sources", ()):
        print(plain(f"{source['path']}: {source.get('sentence') or '-'}"))
    counts = {name: count for name, count in evidence.get("counts", {}).items() if count}
    if counts:
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        print(plain(f"Of the last calls of this tool: {said}."))
    for past in evidence.get("similar", ()):
        reason = f": {past['reason']}" if past["reason"] else ""
        print(plain(f"  {past['state']} by {past['by'] or 'nobody'} at {past['at']}{reason}"))
    if plan := evidence.get("plan"):
        print(plain(f"It would change: {json.dumps(plan, indent=2, ensure_ascii=False)}"))
    if problem := evidence.get("plan_problem"):
        print(plain(f"What it would change was not found out: {problem}"))
