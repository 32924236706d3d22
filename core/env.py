"""Environment variables: one declared table, typed readers, loud failure.

Every variable is a row of `VARIABLES`: type, default, help. `.env.example` and
docs/reference/env.md are generated from the table, and a test compares them. `NAME_FILE` names a
file that holds the value, for secrets mounted into a container.
"""

import contextlib
import difflib
import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["str", "int", "float", "bool", "list", "path", "url", "secret"]

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


class ConfigurationError(Exception):
    """The environment cannot be used; the sentence names the variable and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    name: str
    kind: Kind
    default: str
    help: str
    section: str


def _v(section: str, name: str, kind: Kind, default: str, help_: str) -> Variable:
    return Variable(name=name, kind=kind, default=default, help=help_, section=section)


VARIABLES: tuple[Variable, ...] = (
    _v(
        "Site",
        "AGENTRY_ENV",
        "str",
        "dev",
        "`dev` or `production`. Production wants its secret given and refuses debug pages.",
    ),
    _v(
        "Site",
        "AGENTRY_SECRET_KEY",
        "secret",
        "",
        (
            "Signs sessions and seals stored credentials. 50 random characters; required in "
            "production."
        ),
    ),
    _v(
        "Site",
        "AGENTRY_AUDIT_KEY",
        "secret",
        "",
        (
            "Signs the checkpoints and exports of the audit chains: 40 random characters or more, "
            "the same on every machine. Empty: made once in the data folder (`audit.key`)."
        ),
    ),
    _v(
        "Site",
        "AGENTRY_AUDIT_CHECKPOINT_ENTRIES",
        "int",
        "1000",
        "Entries of an audit chain after which beat signs a checkpoint without waiting longer.",
    ),
    _v(
        "Site",
        "AGENTRY_AUDIT_CHECKPOINT_MINUTES",
        "float",
        "10",
        "Longest time that an entry of an audit chain waits for a signed checkpoint.",
    ),
    _v(
        "Site",
        "AGENTRY_ALLOWED_HOSTS",
        "list",
        "localhost,127.0.0.1,[::1]",
        "Host names the site answers to.",
    ),
    _v(
        "Site",
        "AGENTRY_TRUSTED_ORIGINS",
        "list",
        "",
        ("Origins (scheme and host) that may post forms and open sockets, beside the site's own."),
    ),
    _v(
        "Site",
        "AGENTRY_SECURE_COOKIES",
        "bool",
        "",
        "Send cookies over HTTPS only. Default: on in production, off in dev.",
    ),
    _v(
        "Site",
        "AGENTRY_SIGN_IN_FAILURES",
        "int",
        "10",
        (
            "Failed sign-ins of one account from one address in 15 minutes before more are refused;"
            " ten times as many for an account, for an address and for an address's wrong tokens."
        ),
    ),
    _v(
        "Site",
        "AGENTRY_DATA_DIR",
        "path",
        ".run/data",
        "Folder for the embedded database, run workspaces and collected files.",
    ),
    _v(
        "Site",
        "AGENTRY_LOG_FORMAT",
        "str",
        "console",
        "`console` or `json`.",
    ),
    _v(
        "Site",
        "AGENTRY_LOG_LEVEL",
        "str",
        "INFO",
        "Lowest level that is logged.",
    ),
    _v(
        "Services",
        "DATABASE_URL",
        "url",
        "",
        (
            "PostgreSQL (`postgres://user:password@host:port/name`) or SQLite "
            "(`sqlite:///path`). Empty: SQLite in the data folder."
        ),
    ),
    _v(
        "Services",
        "REDIS_URL",
        "url",
        "",
        ("Redis for broker, live delivery and doorbells. Empty: everything in this one process."),
    ),
    _v(
        "Worker",
        "AGENTRY_ENGINE",
        "str",
        "off",
        ("`embedded` runs the agent engine inside this process; `off` leaves it to workers."),
    ),
    _v(
        "Worker",
        "AGENTRY_WORKER_CAPACITY",
        "int",
        "2000",
        "Runs one worker process drives at the same time.",
    ),
    _v(
        "Worker",
        "AGENTRY_LEASE_SECONDS",
        "float",
        "30",
        "How long a claim on a run holds without renewal.",
    ),
    _v(
        "Worker",
        "AGENTRY_POLL_SECONDS",
        "float",
        "1",
        "How often a worker looks for due work when no doorbell rings.",
    ),
    _v(
        "Worker",
        "AGENTRY_DRAIN_SECONDS",
        "float",
        "20",
        ("How long a stopping worker waits for step boundaries before it releases its runs."),
    ),
    _v(
        "Worker",
        "AGENTRY_MAX_CRASHES",
        "int",
        "5",
        "Crashes of its worker after which a run is parked instead of tried again.",
    ),
    _v(
        "Limits",
        "AGENTRY_REQUEST_SLOTS",
        "int",
        "32",
        "Requests that Django works on at the same time in one server process; others wait.",
    ),
    _v(
        "Limits",
        "AGENTRY_DATABASE_POOL",
        "int",
        "40",
        "Most PostgreSQL connections of one process; 0: no pool, for processes that fork.",
    ),
    _v(
        "Worker",
        "DEMO_ONCE",
        "bool",
        "",
        "`make demo` stops after its run, with the run's exit status.",
    ),
    _v(
        "Limits",
        "AGENTRY_INVOKE_QUEUE",
        "int",
        "20000",
        "Accepted calls waiting for their commit before `invoke` answers 503.",
    ),
    _v(
        "Limits",
        "AGENTRY_INVOKE_WAITS",
        "int",
        "200",
        "Answers of `invoke` one user may have held with `wait` in one process; more get 429.",
    ),
    _v(
        "Limits",
        "AGENTRY_MAX_BODY_BYTES",
        "int",
        "2097152",
        "Largest request body.",
    ),
    _v(
        "Limits",
        "AGENTRY_WORKSPACE_BYTES",
        "int",
        "1073741824",
        "Bytes that the files of a run may have together, for snapshots to be taken of them.",
    ),
    _v(
        "Limits",
        "AGENTRY_WORKSPACE_FILES",
        "int",
        "100000",
        "Files and folders that a run may have, for snapshots to be taken of them.",
    ),
    _v(
        "Limits",
        "AGENTRY_SNAPSHOT_DAYS",
        "float",
        "30",
        (
            "Days after the end of a run for which the files of its checkpoints are kept, so that "
            "it can be forked. 0 keeps them for ever."
        ),
    ),
    _v(
        "Limits",
        "AGENTRY_SNAPSHOT_GRACE_HOURS",
        "float",
        "24",
        (
            "Age in hours below which content that no checkpoint names is not deleted. At least 1, "
            "and more than the clocks of your machines differ."
        ),
    ),
    _v(
        "Limits",
        "AGENTRY_FETCH_ALLOW",
        "list",
        "",
        ("`host:port` pairs the fetch and http tools may reach although their address is private."),
    ),
    _v(
        "Providers",
        "AGENTRY_PROVIDER_ENV",
        "list",
        "OPENAI_API_KEY,OPENAI_KEY,ANTHROPIC_API_KEY,ANTHROPIC_KEY,GEMINI_API_KEY,GOOGLE_API_KEY",
        (
            "Environment variables a provider may name as the source of its key. Nothing "
            "else can be read, and such a key is sent to the vendor's own address only."
        ),
    ),
)

_BY_NAME = {variable.name: variable for variable in VARIABLES}

# Read by the client, the test runner and the scripts, never by the site.
FOREIGN = frozenset(
    {
        "AGENTRY_CONFIG_DIR",
        "AGENTRY_CONTEXT",
        "AGENTRY_OUTPUT",
        "AGENTRY_PAUSE_AT",
        "AGENTRY_TOKEN",
        "AGENTRY_URL",
        "AGENTRY_WORKSPACE",
    }
)


def environment_of_child(
    *, without: Collection[str] = (), changes: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return this process's environment for a process it starts, with a few differences."""
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return kept | dict(changes or {})


class Environment:
    """Typed access to one mapping of variables; asking for an undeclared name is a mistake."""

    def __init__(self, source: Mapping[str, str]) -> None:
        self._source = source
        self._refuse_unknown()

    @classmethod
    def of_process(cls) -> "Environment":
        return cls(os.environ)

    def _refuse_unknown(self) -> None:
        for name in self._source:
            if not name.startswith("AGENTRY_") or name in FOREIGN:
                continue
            plain = name.removesuffix("_FILE")
            if plain in _BY_NAME:
                continue
            close = difflib.get_close_matches(plain, _BY_NAME, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ConfigurationError(
                f"Unknown environment variable {name}.{hint} Unset it, or see "
                "docs/reference/env.md."
            )

    def raw(self, name: str) -> str:
        """Return the text: the variable, else the content of `<name>_FILE`, else the default."""
        variable = _BY_NAME[name]
        value = self._source.get(name)
        file = self._source.get(f"{name}_FILE")
        if value is not None and file is not None:
            raise ConfigurationError(f"Both {name} and {name}_FILE are set; unset one of them.")
        if file is not None:
            try:
                return Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigurationError(
                    f"{name}_FILE names {file}, which cannot be read: {error.strerror}."
                ) from error
        return variable.default if value is None else value

    def text(self, name: str) -> str:
        return self.raw(name)

    def integer(self, name: str) -> int:
        try:
            return int(self.raw(name))
        except ValueError:
            raise ConfigurationError(f"{name}={self.raw(name)!r} is not a whole number.") from None

    def number(self, name: str) -> float:
        try:
            return float(self.raw(name))
        except ValueError:
            raise ConfigurationError(f"{name}={self.raw(name)!r} is not a number.") from None

    def boolean(self, name: str) -> bool:
        value = self.raw(name).strip().lower()
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise ConfigurationError(f"{name}={value!r} is neither true nor false; write 1 or 0.")

    def items(self, name: str) -> list[str]:
        return [item.strip() for item in self.raw(name).split(",") if item.strip()]


def secret_of_folder(folder: Path, name: str = "secret") -> str:
    """Return the secret kept in `folder`, making it on first use; only its owner can read it.

    Of several processes that start at once one makes it and all return the same.
    """
    path = folder / f"{name}.key"
    if not path.exists():
        temporary = folder / f".{name}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
    return path.read_text(encoding="ascii").strip()
