"""Environment variables: one declared table, typed readers, loud failure.

Every variable is a row of `core.variables`: type, default, help. `.env.example` and
docs/reference/env.md are generated from the table, and a test compares them. `NAME_FILE` names a
file that holds the value, for secrets mounted into a container.
"""

import contextlib
import difflib
import math
import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core.variables import VARIABLES, Variable

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


class ConfigurationError(Exception):
    """The environment cannot be used; the sentence names the variable and the remedy."""


_BY_NAME = {variable.name: variable for variable in VARIABLES}

# Read by the client, the test runner, the scripts and commands in sandboxes, never by the site.
FOREIGN = frozenset(
    {
        "AGENTRY_ARGUMENTS",
        "AGENTRY_ATTEMPT",
        "AGENTRY_CONFIG_DIR",
        "AGENTRY_CONTEXT",
        "AGENTRY_IDEMPOTENCY_KEY",
        "AGENTRY_OUTPUT",
        "AGENTRY_PAUSE_AT",
        "AGENTRY_RUN",
        "AGENTRY_TOKEN",
        "AGENTRY_URL",
        "AGENTRY_WORKSPACE",
    }
)


# Variables of these names hold secrets of workspaces, where AGENTRY_SECRET_SOURCES says so.
_OURS = "AGENTRY_"
SECRET_PREFIX = f"{_OURS}SECRET_"


def is_declared(name: str) -> bool:
    """Say whether the site itself reads this variable, or the file it may be given in."""
    return name.removesuffix("_FILE") in _BY_NAME


def secret_of_environment(name: str) -> str | None:
    """Return the variable `SECRET_PREFIX` + `name` of this process; None where it is not set."""
    return os.environ.get(SECRET_PREFIX + name)


def environment_of_child(
    *, without: Collection[str] = (), changes: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return this process's environment for a process it starts, with a few differences."""
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return kept | dict(changes or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One variable as it may be shown: of a secret, and of an address, not what it says."""

    variable: Variable
    value: str
    is_given: bool
    is_from_file: bool

    @property
    def help_parts(self) -> tuple[str, ...]:
        """The help cut at its backquotes: every second part is code."""
        return tuple(self.variable.help.split("`"))


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
            if not name.startswith(_OURS) or name in FOREIGN:
                continue
            plain = name.removesuffix("_FILE")
            if plain in _BY_NAME or self._is_secret_of_a_workspace(name):
                continue
            close = difflib.get_close_matches(plain, _BY_NAME, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ConfigurationError(
                f"Unknown environment variable {name}.{hint} Unset it, or see "
                "docs/reference/env.md."
            )

    def _is_secret_of_a_workspace(self, name: str) -> bool:
        if not name.startswith(SECRET_PREFIX):
            return False
        wanted = f"env:{name.removeprefix(SECRET_PREFIX)}"
        entries = self.items("AGENTRY_SECRET_SOURCES")
        return wanted in {entry.partition("=")[2].strip() for entry in entries}

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

    def told(self) -> tuple[Told, ...]:
        """Return every declared variable with what may be shown of it."""
        return tuple(
            Told(
                variable=variable,
                value=_shown(variable, self._source.get(name, "")),
                is_given=name in self._source or f"{name}_FILE" in self._source,
                is_from_file=f"{name}_FILE" in self._source,
            )
            for name, variable in _BY_NAME.items()
        )

    def text(self, name: str) -> str:
        return self.raw(name)

    def integer(self, name: str) -> int:
        try:
            found = int(self.raw(name))
        except ValueError:
            raise ConfigurationError(f"{name}={self.raw(name)!r} is not a whole number.") from None
        if found < 0:
            raise ConfigurationError(f"{name}={found} is less than nothing; write 0 or more.")
        return found

    def number(self, name: str) -> float:
        try:
            found = float(self.raw(name))
        except ValueError:
            raise ConfigurationError(f"{name}={self.raw(name)!r} is not a number.") from None
        if not 0 <= found < math.inf:
            raise ConfigurationError(f"{name}={found:g} is no amount; write 0 or more.")
        return found

    def boolean(self, name: str) -> bool:
        value = self.raw(name).strip().lower()
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise ConfigurationError(f"{name}={value!r} is neither true nor false; write 1 or 0.")

    def items(self, name: str) -> list[str]:
        return [item.strip() for item in self.raw(name).split(",") if item.strip()]


def _shown(variable: Variable, value: str) -> str:
    """Addresses may carry a password, or be one: of them the scheme and the host are told."""
    if variable.kind == "secret" or not value:
        return ""
    if variable.kind != "url":
        return value
    parts = urlsplit(value)
    return f"{parts.scheme}://{parts.hostname or ''}/…"


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
