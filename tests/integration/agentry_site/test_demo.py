"""The demo: which run it takes up again, and how it ends."""

from unittest.mock import Mock

import pytest
import uvicorn
from django.conf import settings

from agentry_site.demo import USERNAME, Demo, demo_unfinished
from agentry_site.management.commands import demo
from agents.models import Run
from governance.models import User
from tests.factories.agents import make_run
from tests.factories.governance import make_workspace


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "wait_kind", "is_taken_up"),
    [
        ("running", "", True),
        ("waiting", "children", True),
        ("waiting", "in_doubt", False),
        ("yielded", "", False),
        ("paused", "", False),
        ("succeeded", "", False),
    ],
)
def test_only_a_run_that_goes_on_by_itself_is_taken_up_again(
    state: str, wait_kind: str, is_taken_up: bool
) -> None:
    User.objects.create_superuser(username=USERNAME)
    run = make_run(make_workspace("demo"), agent="default")
    Run.objects.filter(pk=run.pk).update(state=state, wait_kind=wait_kind)

    assert demo_unfinished() == (run.pk if is_taken_up else None)


def test_how_to_sign_in_is_said_before_a_run_that_may_wait_for_a_person(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Demo(
        url="http://127.0.0.1:1", username=USERNAME, password="p", token="t", workspace="demo"
    )
    before: list[str] = []

    def watched(*_command: object, **_options: object) -> Mock:
        before.extend(capsys.readouterr().out.splitlines())
        return Mock(returncode=0)

    monkeypatch.setattr("subprocess.run", watched)
    server = Mock(started=True, should_exit=False)

    demo._Show(made, server, unfinished="", stops=True).run()

    assert before[1] == "Sign in as operator; the password is in .run/demo.json"
    assert server.should_exit is True


def test_ctrl_c_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENGINE_MODE", "embedded")
    shown = Mock()

    def interrupted(server: uvicorn.Server) -> None:
        server.started = True
        raise KeyboardInterrupt  # what uvicorn does once it has stopped

    monkeypatch.setattr(uvicorn.Server, "run", interrupted)
    for name in ("call_command", "demo_prepare", "demo_unfinished"):
        monkeypatch.setattr(demo, name, Mock())
    monkeypatch.setattr(demo, "_Show", Mock(return_value=shown))

    demo.Command().handle(port=8000, once=False)

    shown.join.assert_called_once_with()
