"""Where a site takes secrets from instead of its rows: said by name, never guessed.

An entry of AGENTRY_SECRET_SOURCES is `WORKSPACE/NAME=PLACE`; `*` stands for every workspace, and an
entry for one workspace counts before it. A place is one of

    env:VARIABLE            the environment variable AGENTRY_SECRET_VARIABLE
    file:NAME               a file of the folder AGENTRY_SECRETS_DIR
    vault:MOUNT/PATH#FIELD  a field of a secret of a KV version 2 engine
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from core.env import SECRET_PREFIX, ConfigurationError, is_declared
from governance.secrets.names import NAME_REGEX

_WORKSPACE = re.compile(r"\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_VAULT = re.compile(r"([A-Za-z0-9_.-]+)/([A-Za-z0-9_./-]+)#([A-Za-z0-9_.-]+)")


class Kind(StrEnum):
    ENVIRONMENT = "env"
    FILE = "file"
    VAULT = "vault"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """One place outside the database. `path` is a variable, a file, or a path below `mount`."""

    kind: Kind
    path: str
    mount: str = ""
    field: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.VAULT:
            return f"vault:{self.mount}/{self.path}#{self.field}"
        return f"{self.kind.value}:{self.path}"


Places: TypeAlias = Mapping[tuple[str, str], SecretPlace]


def places_parse(entries: Iterable[str]) -> dict[tuple[str, str], SecretPlace]:
    """Read the entries of AGENTRY_SECRET_SOURCES.

    Raises:
        ConfigurationError: One of them cannot be used; says which and why.
    """
    found: dict[tuple[str, str], SecretPlace] = {}
    for entry in entries:
        key, separator, place = entry.partition("=")
        workspace, _, name = key.strip().partition("/")
        if not separator or not _WORKSPACE.fullmatch(workspace):
            raise _wrong(entry, "is not of the form WORKSPACE/NAME=PLACE")
        if not NAME_REGEX.fullmatch(name):
            raise _wrong(entry, f"names no secret: {name!r}")
        if (workspace, name) in found:
            raise _wrong(entry, f"is the second one for {workspace}/{name}")
        found[workspace, name] = _place(entry, place.strip())
    return found


def place_of(places: Places, workspace: str, name: str) -> SecretPlace | None:
    """Return where this secret comes from; None: from its row."""
    return places.get((workspace, name)) or places.get(("*", name))


def _place(entry: str, text: str) -> SecretPlace:
    kind, _, path = text.partition(":")
    if kind == Kind.ENVIRONMENT:
        if not _VARIABLE.fullmatch(path) or is_declared(SECRET_PREFIX + path):
            raise _wrong(entry, f"names no variable that may hold a secret: {path!r}")
        return SecretPlace(kind=Kind.ENVIRONMENT, path=path)
    if kind == Kind.FILE:
        if not _FILE.fullmatch(path):
            raise _wrong(entry, f"names no file of the folder: {path!r}")
        return SecretPlace(kind=Kind.FILE, path=path)
    if kind == Kind.VAULT:
        parts = _VAULT.fullmatch(path)
        if parts is None or {"", ".", ".."} & set(parts[2].split("/")):
            raise _wrong(entry, "is not of the form vault:MOUNT/PATH#FIELD")
        return SecretPlace(kind=Kind.VAULT, mount=parts[1], path=parts[2], field=parts[3])
    raise _wrong(entry, "names no source; there are env:, file: and vault:")


def _wrong(entry: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"AGENTRY_SECRET_SOURCES: the entry {entry!r} {why}.")
