"""`agentry channels …`: where a workspace's news goes, and what became of each message."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentry.cli.commands.arguments import pairs_of
from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, Row, print_fields, seconds_ago
from agentry.cli.terminal import is_terminal, plain
from agentry.client.calls import channels

if TYPE_CHECKING:
    from agentry.client.flow import Call, Flow, Origin

KINDS = ("webhook", "slack", "email")
MAX_SECRET_CHARS = 500
TEST_SECONDS = 15.0

ChannelName = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name.")]


def _goes_to(row: Row) -> str:
    if row["kind"] == "email":
        return ", ".join(row["addresses"]) or "whoever may decide"
    return str(row["url"])


def _outcome(row: Row) -> str:
    """What is last known: the error of the last attempt, or when the next one is due."""
    if row["last_error"]:
        return str(row["last_error"])
    return f"due {row['due_at']}" if row["state"] == "pending" else "-"


CHANNELS = (
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("GOES TO", _goes_to, 50),
    Column("TOLD OF", lambda row: ", ".join(row["events"]), 40),
    Column("DECIDES AS", "acts_as"),
    Column("ENABLED", "is_enabled"),
)
DELIVERIES = (
    Column("ID", "id"),
    Column("CHANNEL", "channel"),
    Column("EVENT", "event"),
    Column("RECIPIENT", "recipient", 30),
    Column("STATE", "state"),
    Column("ATTEMPTS", "attempts"),
    Column("OUTCOME", _outcome, 50),
    Column("AGE", lambda row: seconds_ago(row.get("created_at"))),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Where a workspace's news goes.")
    parent.add_typer(app, name="channels", rich_help_panel="Definitions")
    _register_channels(app)
    _register_adding(app)
    _register_deliveries(app)


def _register_channels(app: typer.Typer) -> None:
    @command(app, "ls")
    def ls(
        inv: Invocation,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List channels; their secrets are never shown."""
        inv.listing(channels.channels(limit=100), CHANNELS, everything=everything)

    @command(app, "show")
    def show(inv: Invocation, channel: ChannelName) -> None:
        """Show one channel: where it goes, what it is told of, and who is who in it."""
        inv.show(inv.fetch(channels.channel(channel)), _print_channel)

    @command(app, "test")
    def test(
        inv: Invocation,
        channel: ChannelName,
        waits: Annotated[
            bool, typer.Option("--wait/--no-wait", help="Wait for its outcome, up to 15 s.")
        ] = True,
    ) -> None:
        """Send a message that says it is a test; exit status 1 where it did not get through."""
        sent = inv.fetch(channels.channel_test(channel))
        if waits:
            asking = channels.delivery(sent["id"]).raw()
            sent = inv.client.drive(_until_tried(inv.client.origin, asking))
        inv.show(sent, _print_delivery)
        if waits and sent["state"] != "delivered":
            raise typer.Exit(ExitCode.RUN_FAILED)

    @command(app, "rm")
    def rm(
        inv: Invocation,
        channel: ChannelName,
        agrees: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Delete a channel with its deliveries, also those that are still to be sent."""
        if not agrees:
            inv.fetch(channels.channel(channel))  # before the question, whether it is there
            question = f"Delete the channel {plain(channel)} and its deliveries?"
            if not typer.confirm(question, default=False, err=True):
                raise typer.Exit(ExitCode.USAGE)
        inv.client.channels.delete(channel)
        inv.say(f"The channel {channel} is deleted.")


def _register_adding(app: typer.Typer) -> None:
    @command(app, "add")
    def add(
        inv: Invocation,
        channel: ChannelName,
        kind: Annotated[str, typer.Option(help="webhook, slack or email.")],
        to_url: Annotated[
            str | None, typer.Option("--to-url", help="Where a webhook or Slack is posted to.")
        ] = None,
        address: Annotated[
            list[str] | None,
            typer.Option("--to", help="An e-mail address; repeatable. None: who may decide."),
        ] = None,
        event: Annotated[
            list[str] | None,
            typer.Option(help="Told of this only, such as approval.asked; repeatable."),
        ] = None,
        acts_as: Annotated[
            str | None, typer.Option(help="The account as which a webhook's decisions come in.")
        ] = None,
        identity: Annotated[
            list[str] | None,
            typer.Option(help="Who a member of Slack is here: U024BE7LH=ann; repeatable."),
        ] = None,
        secret_stdin: Annotated[
            bool, typer.Option("--secret-stdin", help="The signing secret comes from stdin.")
        ] = False,
    ) -> None:
        """Make a channel. The signing secret of a webhook is printed once, alone, to stdout.

        A secret never stands in the command itself: that of a Slack app is asked for, or read with
        `--secret-stdin < secret.txt`.
        """
        if kind not in KINDS:
            raise usage_error(f"There is no kind {kind!r} of channel.", f"One of {_words(KINDS)}.")
        call = channels.channel_create(
            channel,
            kind=kind,
            url=to_url,
            addresses=address,
            events=event,
            acts_as=acts_as,
            identities=pairs_of(identity, "--identity") or None,
            secret=_secret(kind, from_stdin=secret_stdin),
        )
        made = inv.fetch(call)
        inv.show(made, _print_secret)
        inv.say(f"The channel {made['name']} is made. Try it: agentry channels test {made['name']}")
        if made["secret"]:
            inv.say("Keep the secret now: it is not shown again.")


def _register_deliveries(app: typer.Typer) -> None:
    @command(app, "deliveries")
    def deliveries(
        inv: Invocation,
        channel: Annotated[
            str | None, typer.Argument(metavar="[CHANNEL]", help="Of this channel only.")
        ] = None,
        state: Annotated[
            str | None, typer.Option(help="pending, delivered or failed; any, if not said.")
        ] = None,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List what was sent and what is still to be sent, newest first."""
        call = channels.deliveries(channel=channel, state=state, limit=50)
        inv.listing(call, DELIVERIES, everything=everything)

    @command(app, "redeliver")
    def redeliver(
        inv: Invocation,
        delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.")],
    ) -> None:
        """Send a message once more, with the id it had, so that who has it drops the repeat."""
        inv.show(inv.fetch(channels.delivery_redeliver(delivery)), _print_delivery)


def _until_tried(origin: "Origin", call: "Call[Any]") -> "Flow[Any]":
    """Ask until the message was tried once, or the time is over."""
    from agentry.client.flow import Sleep, perform

    deadline = time.monotonic() + TEST_SECONDS
    while True:
        found = yield from perform(origin, call)
        if found["state"] != "pending" or found["last_error"] or time.monotonic() > deadline:
            return found
        yield Sleep(0.3)


def _secret(kind: str, *, from_stdin: bool) -> str | None:
    """The secret that is given; None where one is made, or none is needed."""
    if from_stdin:
        if kind == "email":
            raise usage_error("A channel for e-mail has no secret.", "Leave out --secret-stdin.")
        given = sys.stdin.read(MAX_SECRET_CHARS + 2).strip()
        if not given:
            raise usage_error("There is no secret on stdin.", "Write --secret-stdin < secret.txt.")
        return given
    if kind != "slack":
        return None
    if not is_terminal(sys.stdin):
        raise usage_error(
            "Slack needs the signing secret of its app.", "Write --secret-stdin < secret.txt."
        )
    asked: str = typer.prompt("Signing secret of the app (not shown)", hide_input=True, err=True)
    return asked


def _print_secret(row: Row) -> None:
    if row["secret"]:
        print(plain(row["secret"]))


def _print_channel(row: Row) -> None:
    print_fields([(name, value) for name, value in row.items() if value not in (None, "", [], {})])


def _print_delivery(row: Row) -> None:
    told = {"delivered": "got through", "failed": "was given up"}.get(row["state"], "is on its way")
    error = f": {row['last_error']}" if row["last_error"] else "."
    print(plain(f"{row['id']} to {row['channel']} {told}{error}"))


def _words(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
