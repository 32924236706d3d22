"""`agentry completion` and `agentry version`."""

from enum import StrEnum
from typing import Annotated

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command
from agentry.cli.output import print_record

_PANEL = "This machine and the server"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def register(app: typer.Typer) -> None:
    @app.command("completion", rich_help_panel=_PANEL)
    def completion(
        shell: Annotated[Shell, typer.Argument(help="For which shell.")],
    ) -> None:
        """Print the completion script: `eval "$(agentry completion bash)"`."""
        from typer._completion_shared import get_completion_script

        script = get_completion_script(
            prog_name="agentry", complete_var="_AGENTRY_COMPLETE", shell=shell.value
        )
        print(script)

    @command(app, "version", panel=_PANEL)
    def version(inv: Invocation) -> None:
        """Show the versions of this program and, when one is known, of the server."""
        from agentry.client.calls import account
        from agentry.client.errors import AgentryError, ConfigurationError
        from agentry.client.transport import client_version

        found = {"client": client_version(), "server": None}
        failure: AgentryError | None = None
        try:
            answer = inv.fetch(account.version())
            found["server"] = str(answer.get("version", answer))
        except ConfigurationError:
            inv.say("No server is known: `agentry login`.")
        except AgentryError as error:
            failure = error
        inv.show(found, print_record)
        if failure is not None:
            inv.say(str(failure))
            raise typer.Exit(ExitCode.UNREACHABLE)
