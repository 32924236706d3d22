"""A tool declared as a command: what its manifest says, and the sandbox that follows from it."""

from typing import Any

import msgspec

from core.errors import InvalidInputError
from plugins.contracts import EffectClass
from sandbox.contracts import Isolation, Limits, Profile


class ManifestLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one sandbox of the tool may use; null asks for no limit, which only a privileged tool
    may. How long a call may take is the tool's `timeout_seconds`."""

    cpu: float | None = 1.0
    memory_bytes: int | None = 512 * 1024 * 1024
    pids: int | None = 128
    disk_bytes: int | None = 256 * 1024 * 1024
    output_bytes: int = 1024 * 1024
    open_files: int = 256
    file_bytes: int = 128 * 1024 * 1024


class CommandDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that makes a command tool. `command`, `probe_command` and `plan_command` are shell
    text for `sh -c`; arguments reach them by environment and standard input alone.

    `probe_command` is run after a crash and prints `{"happened": true | false, "result": …}`;
    `plan_command` runs in a workspace it cannot change, without network and secrets, and prints
    what a call would change: a text, or JSON with `summary`, `difference`, `counts`, `cost_usd`.
    """

    name: str
    description: str
    input_schema: dict[str, Any]
    command: str
    effect: EffectClass = EffectClass.IRREVERSIBLE
    privileged: bool = True
    engine: Isolation = Isolation.SITE
    net: tuple[str, ...] = ()
    limits: ManifestLimits = ManifestLimits()
    timeout_seconds: float = 60.0
    secrets: tuple[str, ...] = ()
    output_schema: dict[str, Any] | None = None
    probe_command: str = ""
    plan_command: str = ""
    max_result_bytes: int = 8 * 1024 * 1024
    version: str = "1"

    def profile(self) -> Profile:
        """Return the sandbox it runs in.

        Raises:
            InvalidInputError: A limit is not above zero.
        """
        try:
            limits = Limits(
                wall_seconds=self.timeout_seconds, **msgspec.structs.asdict(self.limits)
            )
        except ValueError as error:
            raise InvalidInputError(
                f"The tool {self.name}: {error}", fields={"limits": [str(error)]}
            ) from None
        return Profile(isolation=self.engine, limits=limits, net=self.net)
