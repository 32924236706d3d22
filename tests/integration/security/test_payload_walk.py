"""Without `run.payload` nothing that runs are about is seen anywhere: pages, partials, lists, REST,
streams, exports, sockets, metrics, spans, logs, news. Somebody with it sees every word of it.

Titles of sessions, names of tools and agents, and prompts as authors wrote them are names and
configuration, not payload.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from governance.contracts import Perm
from governance.models import Role, User, Workspace
from sandbox.workspaces import delete_workspace
from tests.factories.governance import issue, join, make_workspace
from tests.integration.agents.approvals.kit import install, told_engine
from tests.integration.agents.execution.kit import an_engine, boss
from tests.integration.security.canaries import logged
from tests.integration.security.payload import plant, surfaces
from tests.integration.security.payload.addresses import STREAMS, addresses
from tests.integration.security.payload.plant import NEVER_SHOWN, PLACES, Planted, places_in
from tests.receiver import Receiver
from tests.wire.smtp_server import SmtpServer

pytestmark = pytest.mark.timeout(300)


@dataclass(slots=True)
class Reader:
    """Somebody who looks at everything, and what of it they saw where."""

    name: str
    secret: str = ""
    asked: int = 0
    opened: int = 0
    sent: int = 0
    found: dict[str, set[str]] = field(default_factory=dict)

    def note(self, place: str, text: str) -> None:
        if words := places_in(text):
            self.found[place] = self.found.get(place, set()) | words

    @property
    def seen(self) -> set[str]:
        return set().union(*self.found.values())


def member(workspace: Workspace, name: str, *perms: Perm) -> Reader:
    """Somebody who may do exactly this, and enter the console."""
    Role.objects.create(workspace=workspace, name=name, permissions=[each.value for each in perms])
    user = join(workspace, name, name).user
    User.objects.filter(pk=user.pk).update(is_staff=True)
    return Reader(name, issue(user, workspace=workspace).secret)


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def scene(
    workspace: Workspace, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Planted]:
    if os.geteuid() != 0:
        pytest.skip("sandboxes with a quota need root")
    install(monkeypatch, plant.ledger_tool())
    monkeypatch.setattr("governance.services.policies.policy_engine", told_engine)
    monkeypatch.setattr("agents.engine.loop.RETRY_WAITS_SECONDS", (0.01,))
    monkeypatch.setattr("agents.providers.script_language.read_script", plant.script_spoken)
    settings.ENGINE_MODE = "off"
    boss()
    User.objects.filter(username="boss").update(email="boss@acme.example")
    folder = tmp_path / "workspaces"
    with an_engine(folder) as engine, surfaces.outside() as host:
        yield plant.prepare(engine, workspace, host)
    for each in folder.glob("*/*"):
        if each.is_dir():
            delete_workspace(each)


def text_of(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(content.decode("utf-8", "replace")) + str(response.headers)


def walk(reader: Reader, workspace: Workspace) -> None:
    """Ask every address, as a browser that is signed in and as a program with a token."""
    browser, program = Client(), APIClient()
    browser.force_login(User.objects.get(username=reader.name))
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {reader.secret}")
    for path, address in addresses(workspace.name):
        client = browser if path.startswith("/admin/") else program
        response = client.get(address)
        reader.asked += 1
        reader.opened += response.status_code == 200
        assert response.status_code < 500, address
        reader.note(path, text_of(response))


# What forms and dialogs of the console are sent, all of it wrong: each shows itself again.
_WRONG = {
    "verdict": "edit", "arguments": "{}", "seen": "old", "items": "[", "choice": "none",
    "kind": "message", "position": "-1", "version": "-1", "checkpoint": "-1", "name": "",
    "workspace": "", "action": "compare",
}  # fmt: skip
# These would end what the walk stands on: the session, the account.
_LEFT_ALONE = ("/admin/logout/", "/password", "/delete/", "/revoke")


def send_wrong_forms(reader: Reader, workspace: Workspace) -> None:
    """Send what nobody means to every page of the console, and read what it answers."""
    browser = Client()
    browser.force_login(User.objects.get(username=reader.name))
    for path, address in addresses(workspace.name):
        if not path.startswith("/admin/") or any(part in path for part in _LEFT_ALONE):
            continue
        response = browser.post(address, _WRONG)
        reader.sent += response.status_code == 200
        assert response.status_code < 500, address
        reader.note(f"POST {path}", text_of(response))


def test_without_sight_of_payloads_no_word_of_them_is_anywhere(
    scene: Planted, workspace: Workspace, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = member(workspace, "blind", *(set(Perm) - {Perm.RUN_PAYLOAD}))
    sighted = member(workspace, "sighted", *Perm)
    news, collector = Receiver(), Receiver()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.place}")
    # The site first: it sets logging up as it begins.
    with surfaces.collecting(), surfaces.site() as host, logged() as log, SmtpServer() as mail:
        settings.FETCH_ALLOW = (news.place,)
        settings.IS_MAIL_CONFIGURED, settings.EMAIL_HOST = True, "127.0.0.1"
        settings.EMAIL_PORT = mail.port
        plant.channels(scene, news.place)
        lead = plant.begin_lead(scene)
        with (
            surfaces.Follower(host, blind.secret, lead.pk, workspace.name) as hidden,
            surfaces.Follower(host, sighted.secret, lead.pk, workspace.name) as shown,
        ):
            plant.play(scene)
            plant.tell(scene)
        for reader, follower in ((blind, hidden), (sighted, shown)):
            reader.note("sockets", follower.text)
            walk(reader, workspace)
            for path in STREAMS:
                address = path.replace("<name:workspace>", workspace.name)
                address = address.replace("<uuid:pk>", str(lead.pk))
                reader.note(path, surfaces.asked(host, reader.secret, address))
        send_wrong_forms(blind, workspace)
        blind.note("/metrics", surfaces.asked(host, "", "/metrics"))
        scene.engine.stop()
    blind.note("spans", surfaces.spans(collector))
    blind.note("logs", log.getvalue())
    blind.note("webhook and Slack", b"\n".join(body for _, body in news.seen).decode())
    blind.note("letters", "\n".join(str(letter) for _, letter in mail.letters))

    assert blind.found == {}
    assert "delta" not in hidden.kinds()
    assert sighted.seen == PLACES
    assert not sighted.seen & NEVER_SHOWN
    assert {"sockets", *STREAMS} <= set(sighted.found)
    assert "delta" in shown.kinds()
    assert len(collector.seen) > 0
    assert {"invoke_agent lead", "execute_tool ledger"} <= spans_named(collector)
    assert len(news.seen) > 4
    assert len(mail.letters) > 4
    assert blind.sent > 100
    assert (blind.asked == sighted.asked, blind.opened > 200) == (True, True)


def spans_named(collector: Receiver) -> set[str]:
    text = surfaces.spans(collector)
    names = ("invoke_agent lead", "execute_tool ledger", "chat v-lead")
    return {name for name in names if name in text}
