"""Secrets for calls: a tool reads those it names, while its call runs, and no others.

Opening one may ask a vault, so it happens on a database thread of its own.
"""

from functools import partial
from uuid import UUID

from agents.execution.database import DatabaseThread
from core.errors import DomainError
from governance.services.secret_values import OpenedSecret, SecretUse, secret_value
from plugins.contracts import ToolSpec
from plugins.errors import ToolError


class SecretDesk:
    """Opens secrets for all calls of a process."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database

    def reader(
        self, *, workspace_id: UUID, run_id: UUID, call_id: UUID, spec: ToolSpec
    ) -> "CallSecrets":
        use = SecretUse(kind="tool_call", id=call_id, label=spec.name, run_id=run_id)
        return CallSecrets(self, workspace_id, spec, use)

    async def open(self, workspace_id: UUID, name: str, use: SecretUse) -> OpenedSecret:
        return await self._database.run(
            partial(secret_value, workspace_id=workspace_id, name=name, use=use)
        )


class CallSecrets:
    """The `SecretReader` of one call: opens each of its secrets once, when it is asked for."""

    def __init__(
        self, desk: SecretDesk, workspace_id: UUID, spec: ToolSpec, use: SecretUse
    ) -> None:
        self._desk = desk
        self._workspace_id = workspace_id
        self._spec = spec
        self._use = use
        self._values: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"CallSecrets({self._spec.name})"

    async def read(self, name: str) -> str:
        if name not in self._spec.secrets:
            raise ToolError(
                f"The tool {self._spec.name} does not declare the secret {name!r}.",
                remedy="An administrator may add it to the tool's secrets.",
            )
        if name not in self._values:
            try:
                opened = await self._desk.open(self._workspace_id, name, self._use)
            except DomainError as error:
                raise ToolError(
                    f"{self._spec.name} needs a secret. {error.message}", remedy=error.remedy
                ) from error
            self._values[name] = opened.value
        return self._values[name]
