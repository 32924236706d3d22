"""The checks of `agentry doctor`, each a sentence; no check changes anything."""

import locale
import os
import platform
import shutil
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from agentry.cli import PROGRAM
from agentry.client.errors import AgentryError, ServerError
from agentry.client.flow import Flow, Reply, Request
from agentry.client.origin import Found, find, login_path, read_logins
from agentry.client.records import Me
from agentry.client.synchronous import Client
from agentry.client.transport import client_version

_OLDEST_PYTHON = (3, 11)
_CLOCK_SECONDS = 30
_SOON_SECONDS = 7 * 86400
# What running a server from a checkout needs beyond the client, and who brings it.
_SERVER_PARTS = {
    "django": "the web framework",
    "psycopg": "PostgreSQL",
    "redis": "Redis, Celery's broker",
    "celery": "workers in a cluster",
    "uvicorn": "the web server",
}

_PROGRAMS = {"postgres": "tests and clusters on PostgreSQL", "redis-server": "local clusters"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    check: str
    state: str  # ok | failed | note
    detail: str
    remedy: str = ""


def _ok(check: str, detail: str) -> Finding:
    return Finding(check=check, state="ok", detail=detail)


def _failed(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check=check, state="failed", detail=detail, remedy=remedy)


def _note(check: str, detail: str, remedy: str = "") -> Finding:
    return Finding(check=check, state="note", detail=detail, remedy=remedy)


def diagnose(url: str, workspace: str, context: str, *, with_server: bool) -> list[Finding]:
    findings = list(_machine(Path.cwd()))
    if with_server:
        findings += _login_and_server(url, workspace, context)
    return findings


def _machine(here: Path) -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info >= _OLDEST_PYTHON:
        yield _ok("Python", version)
    else:
        oldest = ".".join(map(str, _OLDEST_PYTHON))
        yield _failed("Python", version, f"Install Python {oldest} or newer.")
    yield _ok("agentry", client_version())
    encoding = (sys.stdout.encoding or locale.getpreferredencoding()).lower()
    if encoding.replace("-", "") == "utf8":
        size = shutil.get_terminal_size()
        kind = f"{size.columns}×{size.lines}" if sys.stdout.isatty() else "output is not a terminal"
        yield _ok("Terminal", f"UTF-8, {kind}")
    else:
        yield _failed("Terminal", f"encoding is {encoding}", "Set PYTHONUTF8=1 or a UTF-8 locale.")
    root = _checkout(here)
    if root is not None:
        yield from _checkout_parts(root)


def _checkout(here: Path) -> Path | None:
    """The folder of the project's sources we stand in, if we do."""
    for folder in (here, *here.parents):
        if (folder / "manage.py").is_file() and (folder / "agentry_site").is_dir():
            return folder
    return None


def _checkout_parts(root: Path) -> Iterator[Finding]:
    yield _ok("Checkout", str(root))
    for name, purpose in _SERVER_PARTS.items():
        if find_spec(name) is not None:
            yield _ok(name, purpose)
        else:
            yield _failed(name, f"missing: {purpose}", "In the checkout: uv sync")
    for program, purpose in _PROGRAMS.items():
        folders = [os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
        found = shutil.which(program, path=os.pathsep.join(folders))
        if found:
            yield _ok(program, found)
        else:
            package = "postgresql" if program == "postgres" else "redis-server"
            yield _note(program, f"not installed; only for {purpose}", f"apt install {package}")


def _login_and_server(url: str, workspace: str, context: str) -> Iterator[Finding]:
    try:
        read_logins(login_path())
        found = find(url=url, workspace=workspace, context=context)
    except AgentryError as error:
        yield _failed("Login", error.message, error.remedy)
        return
    yield _ok("Server", f"{found.url} (from {found.sources['url']})")
    with Client(
        url=found.url,
        token=found.token,
        workspace=found.workspace,
        timeout_seconds=10,
        max_retries=0,
        program=PROGRAM,
    ) as client:
        reached = yield from _reach(client)
        if reached:
            yield from _ready(client)
            yield from _token(client, found)


def _reach(client: Client) -> Generator[Finding, None, bool]:
    """Version and clock, from one request without a login."""
    sent_at = datetime.now(UTC)
    try:
        reply = _reply(client, "/version")
    except AgentryError as error:
        remedy = (
            "Is the server running, and is this its address? `agentry login URL` names another."
        )
        yield _failed("Reachable", error.message, remedy)
        return False
    yield _ok("Reachable", f"answers in {(datetime.now(UTC) - sent_at).total_seconds():.2f} s")
    try:
        answer = msgspec.json.decode(reply.content)
        yield _ok("Server version", str(answer.get("version", answer)))
    except (msgspec.MsgspecError, AttributeError):
        yield _failed(
            "Server version",
            f"{client.origin.url}/version answered {reply.status} and no version",
            "Is this the address of an Agentry server?",
        )
        return False
    yield _clock(reply.headers.get("date", ""), sent_at)
    return True


def _reply(client: Client, path: str) -> Reply:
    request = Request(
        method="GET",
        url=client.origin.address(path),
        headers=client.origin.headers(),
        content=None,
        timeout_seconds=10,
    )

    def once() -> Flow[Reply]:
        reply: Reply = yield request
        return reply

    return client.drive(once())


def _clock(header: str, sent_at: datetime) -> Finding:
    try:
        server = parsedate_to_datetime(header)
    except ValueError:
        return _note("Clock", "the server does not tell its time")
    if server.tzinfo is None:  # HTTP dates are UTC, whatever their last word says
        server = server.replace(tzinfo=UTC)
    skew = (server - sent_at).total_seconds()
    if abs(skew) <= _CLOCK_SECONDS:
        return _ok("Clock", "agrees with the server's")
    side = "behind" if skew > 0 else "ahead of"
    return _failed(
        "Clock", f"{abs(skew):.0f} s {side} the server's", "Set this machine's clock (NTP)."
    )


def _ready(client: Client) -> Iterator[Finding]:
    try:
        answer = client.readiness()
    except ServerError as error:
        answer = error.problem
        if not _parts(answer):
            yield _failed("Server ready", error.message, error.remedy or "Look at its log.")
            return
    except AgentryError as error:
        yield _failed("Server ready", error.message, error.remedy)
        return
    parts = _parts(answer)
    if not parts:
        yield _ok("Server ready", str(answer.get("status", "yes")))
    for name, is_well, detail, remedy in parts:
        check = f"Server {name}"
        yield _ok(check, detail) if is_well else _failed(check, detail, remedy)


def _parts(answer: Any) -> list[tuple[str, bool, str, str]]:
    """The checks in a readiness answer: {checks: {name: {ok, reason}}}."""
    checks = answer.get("checks") if isinstance(answer, dict) else None
    found = []
    for name, told in checks.items() if isinstance(checks, dict) else ():
        is_well = isinstance(told, dict) and told.get("ok") is True
        reason = told.get("reason") if isinstance(told, dict) else told
        found.append((str(name), is_well, str(reason or "ok"), "Ask who runs the server."))
    return found


def _token(client: Client, found: Found) -> Iterator[Finding]:
    if not found.token:
        yield _failed("Token", "none", "Run `agentry login`, or set AGENTRY_TOKEN.")
        return
    try:
        me = client.me()
    except AgentryError as error:
        yield _failed("Token", error.message, error.remedy or "Run `agentry login`.")
        return
    yield _expiry(me)
    yield _workspace(me, found.workspace)


def _expiry(me: Me) -> Finding:
    who = f"valid, {me.user.username}"
    expires_at = me.token.expires_at if me.token else None
    if expires_at is None:
        return _ok("Token", f"{who}, does not expire")
    left = (expires_at - datetime.now(UTC)).total_seconds()
    told = f"{who}, expires {expires_at:%Y-%m-%d %H:%M} UTC"
    if left < _SOON_SECONDS:
        return _note("Token", told, "Make a new one soon: agentry tokens create NAME")
    return _ok("Token", told)


def _workspace(me: Me, name: str) -> Finding:
    names = {each.name: each for each in me.workspaces}
    if not name:
        remedy = f"Set AGENTRY_WORKSPACE or use --workspace: {', '.join(names) or 'you see none'}."
        return _failed("Workspace", "none is chosen", remedy)
    if name not in names:
        remedy = f"You see: {', '.join(names) or 'none'}. Ask for a role, or choose another."
        return _failed("Workspace", f"{name!r} is not visible to this token", remedy)
    permissions = names[name].permissions
    if "run.start" not in permissions:
        told = f"{name}; may not start runs ({', '.join(permissions) or 'no permissions'})"
        return _note("Workspace", told, "Ask for the role operator.")
    return _ok("Workspace", f"{name}, {len(permissions)} permissions")
