"""A tool declared as a command: what its manifest says, and the sandbox that follows from it."""

from typing import Any

import msgspec

from core.errors import InvalidInputError
from plugins.contracts import EffectClass
from sandbox.contracts import HostCredential, Isolation, Limits, Profile


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


VALUE = "{value}"  # stands in a format for the secret
_TLS_PORT = 443


class HostSecret(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A secret that the gateway adds to requests for one host; the program never has it.

    `host` is a `host:port` of the tool's `net`, without a port that of HTTPS. The header is sent as
    `format` says, with the secret in place of `{value}`.
    """

    name: str
    host: str
    header: str
    format: str = VALUE

    @property
    def place(self) -> str:
        """Return the host with its port, as `net` has it."""
        ends_with_port = self.host.rpartition("]")[2].count(":") == 1
        return self.host if ends_with_port else f"{self.host}:{_TLS_PORT}"

    def credential(self, value: str) -> HostCredential:
        """Return what the gateway is given."""
        return HostCredential(
            host=self.place, header=self.header, value=self.format.replace(VALUE, value)
        )


class CommandDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that makes a command tool. `command`, `probe_command` and `plan_command` are shell
    text for `sh -c`; arguments reach them by environment and standard input alone. Of `secrets` a
    plain name is a file in /run/secrets; the others are added outside, by the gateway.

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
    secrets: tuple[str | HostSecret, ...] = ()
    output_schema: dict[str, Any] | None = None
    probe_command: str = ""
    plan_command: str = ""
    max_result_bytes: int = 8 * 1024 * 1024
    version: str = "1"

    @property
    def secret_files(self) -> tuple[str, ...]:
        return tuple(each for each in self.secrets if isinstance(each, str))

    @property
    def host_secrets(self) -> tuple[HostSecret, ...]:
        return tuple(each for each in self.secrets if isinstance(each, HostSecret))

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Return the names of all its secrets, each once: an approval is bound to their values."""
        bound = (each.name for each in self.host_secrets)
        return tuple(dict.fromkeys((*self.secret_files, *bound)))

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
