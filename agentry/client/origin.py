"""Where a client's server, token and workspace come from, and the file `agentry login` writes.

Order: arguments, then AGENTRY_URL, AGENTRY_TOKEN, AGENTRY_WORKSPACE, then the context of the login
file that AGENTRY_CONTEXT names, else its current one. A token from the file goes only to the
address it was stored for: naming another address means naming another token.
"""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentry.client.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContext:
    url: str
    token: str = field(default="", repr=False)
    workspace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFile:
    """The contexts by name, and which one is meant when none is named."""

    current: str = ""
    contexts: Mapping[str, StoredContext] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found, and for each value where (for `agentry config` and `doctor`)."""

    url: str
    token: str = field(repr=False)
    workspace: str
    context: str
    sources: Mapping[str, str]


def login_path(environ: Mapping[str, str] | None = None) -> Path:
    environ = os.environ if environ is None else environ
    folder = environ.get("AGENTRY_CONFIG_DIR")
    if folder:
        return Path(folder) / "credentials"
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "agentry" / "credentials"


def read_logins(path: Path) -> LoginFile:
    """The login file, empty when there is none. Refuses one that other people can read."""
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigurationError(
                f"{path} holds tokens and can be read by others.", remedy=f"Run: chmod 600 {path}"
            )
        content = json.loads(path.read_text(encoding="utf-8"))
        contexts = {str(name): StoredContext(**each) for name, each in content["contexts"].items()}
        return LoginFile(current=str(content.get("current", "")), contexts=contexts)
    except FileNotFoundError:
        return LoginFile()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} is not a login file: {error}.", remedy="Remove it and run `agentry login`."
        ) from error


def write_logins(path: Path, logins: LoginFile) -> None:
    """Replace the file in one step, readable by its owner only from its first byte."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content: dict[str, Any] = {
        "current": logins.current,
        "contexts": {
            name: {"url": each.url, "token": each.token, "workspace": each.workspace}
            for name, each in logins.contexts.items()
        },
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:  # mkstemp made it 0600
            json.dump(content, file, indent=2)
            file.write("\n")
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def clean_url(url: str) -> str:
    """The server's address without a trailing slash or the API's path."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"{url!r} is not the address of a server.",
            remedy="Give it as https://agentry.example.org",
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "The address holds a user name or password.", remedy="Give the token apart from it."
        )
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def find(
    *,
    url: str = "",
    token: str = "",
    workspace: str = "",
    context: str = "",
    environ: Mapping[str, str] | None = None,
) -> Found:
    """Whom to talk to and as whom. An empty token is an answer too: `/healthz` needs none."""
    environ = os.environ if environ is None else environ
    path = login_path(environ)
    logins = read_logins(path)
    name = context or environ.get("AGENTRY_CONTEXT", "") or logins.current
    stored = logins.contexts.get(name)
    if stored is None and (context or environ.get("AGENTRY_CONTEXT")):
        known = ", ".join(sorted(logins.contexts)) or "none"
        raise ConfigurationError(
            f"There is no context {name!r} in {path}.",
            remedy=f"Known: {known}. See `agentry login`.",
        )
    # A context named by hand is meant: then the environment must not win over it.
    environ = {} if context else environ
    sources: dict[str, str] = {}
    file_url = stored.url if stored else ""
    found_url = _first(sources, "url", url, environ.get("AGENTRY_URL", ""), file_url, path)
    if not found_url:
        raise ConfigurationError(
            "No server is known.", remedy="Run `agentry login`, or set AGENTRY_URL."
        )
    found_url = clean_url(found_url)
    same_place = stored is not None and clean_url(stored.url) == found_url
    file_token = stored.token if stored and same_place else ""
    file_workspace = stored.workspace if stored and same_place else ""
    return Found(
        url=found_url,
        token=_first(sources, "token", token, environ.get("AGENTRY_TOKEN", ""), file_token, path),
        workspace=_first(
            sources,
            "workspace",
            workspace,
            environ.get("AGENTRY_WORKSPACE", ""),
            file_workspace,
            path,
        ),
        context=name if same_place else "",
        sources=sources,
    )


def _first(
    sources: dict[str, str], name: str, given: str, variable: str, stored: str, path: Path
) -> str:
    for value, source in (
        (given, "argument"),
        (variable, f"AGENTRY_{name.upper()}"),
        (stored, str(path)),
    ):
        if value:
            sources[name] = source
            return value
    return ""
