"""Canaries, the places they are planted in, and everything that is searched for them afterwards."""

import asyncio
import base64
import copy
import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, reverse
from rest_framework.test import APIClient

from agents.models import Run
from governance.models import Workspace
from governance.services.audit_exports import audit_lines
from observability import live
from observability.cursors import START, Topic
from observability.live.frames import DeltaFrame, EventsFrame
from tests.architecture.routes import http_routes
from tests.architecture.source import APPS
from tests.waiting import PATIENCE_SECONDS

# Words without any shape: only knowing them finds them.
BANK = "kanarie bank/17+ü?&=<geel>"
VENDOR = "kanarievendorkeywithoutshape"
STORED = "kanariestoredkeywithoutshape"
OUTSIDE = "kanarie-from-the-environment"
FILED = "kanarie-from-a-file"
KNOWN = {
    "bank": BANK, "vendor": VENDOR, "stored": STORED, "outside": OUTSIDE, "filed": FILED,
}  # fmt: skip
# Of a shape that vendors use: found wherever they come from.
SHAPED = {
    place: f"sk-kanarie{place}0123456789abcdef"
    for place in ("input", "message", "arguments", "results", "reason", "refused", "log", "model")
}
CANARIES = {**KNOWN, **SHAPED}
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def spellings(value: str) -> set[str]:
    """Return how a value may have been written down; made here, not by what is tested."""
    raw = value.encode()
    found = {value, json.dumps(value)[1:-1], quote(value), quote(value, safe=""), raw.hex()}
    found |= {raw.hex().upper(), repr(value)[1:-1], value[::-1]}
    for before in range(3):
        middle = base64.b64encode(b"x" * before + raw)[4:-4].decode()
        found |= {middle, middle.replace("+", "-").replace("/", "_")}
    return {each for each in found if len(each) > 7}


_LOOKED_FOR = {name: spellings(value) - {value[::-1]} for name, value in CANARIES.items()}


def canaries_in(text: str) -> set[str]:
    return {name for name, words in _LOOKED_FOR.items() if any(word in text for word in words)}


@contextmanager
def reflecting() -> Iterator[str]:
    """A server that gives back what it was sent, in every spelling it can think of."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", "0"))
            body = self.rfile.read(size).decode()
            sent = self.headers.get("authorization", "") + self.headers.get("x-other", "")
            raw = sent.encode("latin-1")
            told = {
                "plain": sent,
                "base64": base64.b64encode(raw).decode(),
                "shifted": base64.b64encode(b"ab" + raw).decode(),
                "hex": raw.hex(),
                "url": quote(sent, safe=""),
                "body": body,
                "path": self.path,
                "own": SHAPED["results"],
            }
            answer = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Frames:
    """What a viewer was sent: every frame in every encoding, and the text they make together."""

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.deltas: dict[str, str] = {}
        self.has_ended = False

    def note(self, frame: Any) -> None:
        self.encoded.append(frame.text(is_payload_visible=True) or "")
        self.encoded.append((frame.sse(is_payload_visible=True) or b"").decode())
        if isinstance(frame, DeltaFrame):
            self.deltas[frame.channel] = self.deltas.get(frame.channel, "") + frame.delta
        if isinstance(frame, EventsFrame):
            self.has_ended = self.has_ended or any(map(_ends, frame.events))


def _ends(event: Any) -> bool:
    payload = bytes(event.payload).decode()
    return event.kind == "run.state" and ('"failed"' in payload or '"succeeded"' in payload)


@contextmanager
def watching(run: Run) -> Iterator[Frames]:
    """Follow a run as a viewer's connection does."""
    seen, ready = Frames(), threading.Event()

    async def follow() -> None:
        subscription = await live.hub().subscribe(Topic(run.workspace_id, run.pk), START)
        ready.set()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for frame in subscription:
                    seen.note(frame)
                    if seen.has_ended:
                        return
        finally:
            subscription.close(1000, "seen")
            await live.stop()

    thread = threading.Thread(target=lambda: asyncio.run(follow()))
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    yield seen
    thread.join(PATIENCE_SECONDS)


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Everything the site logs, at every level, as its own handler writes it."""
    written = io.StringIO()
    (configured,) = (h for h in _handlers() if h.formatter is not None)
    handler = logging.StreamHandler(written)
    handler.setFormatter(configured.formatter)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def _handlers() -> list[logging.Handler]:
    import logging.config

    config = copy.deepcopy(settings.LOGGING)  # making a formatter takes its class out
    made = logging.config.DictConfigurator(config)
    formatter = made.configure_formatter(config["formatters"]["line"])
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    return [handler]


def in_tables() -> dict[str, set[str]]:
    """Search every column of every table; return what was found where."""
    found: dict[str, set[str]] = {}
    for app in {*APPS, "auditlog", "sessions", "admin", "auth"}:
        if not apps.is_installed(app) and app in APPS:
            continue
        for model in apps.get_app_config(app).get_models() if app in apps.app_configs else ():
            for row in model._base_manager.values():
                for column, value in row.items():
                    if hits := canaries_in(_text(value)):
                        found.setdefault(f"{model._meta.label}.{column}", set()).update(hits)
    return found


def _text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    if isinstance(value, dict | list):
        return json.dumps(value, default=str) + json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def in_answers(client: APIClient, workspace: Workspace) -> tuple[int, dict[str, set[str]]]:
    """Ask every address that can be read, of everything there is in the workspace."""
    asked, found = 0, {}
    for address in sorted(set(_addresses(workspace))):
        response: Any = client.get(address)
        content = b"".join(response.streaming_content) if response.streaming else response.content
        asked += response.status_code == 200
        if hits := canaries_in(content.decode("utf-8", "replace") + str(response.headers)):
            found[address] = hits
    return asked, found


def _addresses(workspace: Workspace) -> Iterator[str]:
    rows = {
        "agents": "agents.Agent", "providers": "agents.Provider", "models": "agents.Model",
        "routes": "agents.ModelRoute", "sessions": "agents.Session", "runs": "agents.Run",
        "tools": "plugins.ToolDefinition", "tool-calls": "plugins.ToolCall",
        "approvals": "governance.Approval", "members": "governance.Membership",
        "roles": "governance.Role", "tokens": "governance.ApiToken", "users": "governance.User",
        "secrets": "governance.Secret", "versions": "", "checkpoints": "agents.Checkpoint",
    }  # fmt: skip
    for route in http_routes():
        if route.namespaces[:1] == ("admin",) or "get" not in (route.actions or {"get": ""}):
            continue
        filled = [""]
        for part in route.path.removeprefix("/").split("/"):
            match = _PARAMETER.fullmatch(part)
            if match is None:
                filled = [f"{each}/{part}" for each in filled]
            elif match[1] == "workspace":
                filled = [f"{each}/{workspace.name}" for each in filled]
            else:
                kind = filled[0].rsplit("/", 1)[-1] if filled else ""
                values = _values(rows.get(kind, ""), match[1])
                filled = [f"{each}/{value}" for each in filled for value in values]
        yield from filled


def _values(label: str, parameter: str) -> list[str]:
    if parameter in {"number", "sequence", "position"} or not label:
        return ["1"]
    model = apps.get_model(label)
    field = parameter if parameter == "name" else "pk"
    return [str(value) for value in model._base_manager.values_list(field, flat=True)[:20]]


def in_console(client: Client) -> tuple[int, dict[str, set[str]]]:
    """Open every list, form and history of the console."""
    opened, found = 0, {}
    for model in admin.site._registry:
        place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages: list[tuple[str, list[Any]]] = [(f"{place}_changelist", []), (f"{place}_add", [])]
        for pk in model._base_manager.values_list("pk", flat=True)[:30]:
            pages += [(f"{place}_change", [pk]), (f"{place}_history", [pk])]
        for name, words in pages:
            try:
                address = reverse(name, args=words)
            except NoReverseMatch:
                continue
            response = client.get(address)
            opened += response.status_code == 200
            if hits := canaries_in(response.content.decode("utf-8", "replace")):
                found[address] = hits
    return opened, found


def in_exports(workspace: Workspace) -> set[str]:
    lines = [*audit_lines(workspace), *audit_lines(None)]
    return canaries_in(b"\n".join(bytes(line) for line in lines).decode("utf-8", "replace"))
