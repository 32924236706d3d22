"""One open Landlock sandbox."""

from sandbox.contracts import Command, Outcome
from sandbox.errors import SandboxRefusedError
from sandbox.runners.bubblewrap.session import BubblewrapSession


class LandlockSession(BubblewrapSession):
    """As a bubblewrap session: an agent on two pipes, a lease, and something to kill."""

    async def run(self, command: Command) -> Outcome:
        if command.secrets:
            raise SandboxRefusedError(
                "A Landlock sandbox has no /run/secrets to put files into; nothing ran.",
                remedy="Ask for an engine with a file system of its own for tools with secrets.",
            )
        return await super().run(command)
