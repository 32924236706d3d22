"""One open Landlock sandbox."""

from sandbox.contracts import Command, Outcome
from sandbox.errors import SandboxRefusedError
from sandbox.runners.session import AgentSession


class LandlockSession(AgentSession):
    """See `sandbox.contracts.Session`; it has no place for secrets."""

    async def run(self, command: Command) -> Outcome:
        if command.secrets:
            raise SandboxRefusedError(
                "A Landlock sandbox has no /run/secrets to put files into; nothing ran.",
                remedy="Ask for an engine with a file system of its own for tools with secrets.",
            )
        return await super().run(command)
