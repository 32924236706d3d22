"""The live view in a real terminal: a subprocess behind a pseudo-terminal."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.agentry.contract_server import (
    BASE,
    RUN,
    ContractServer,
    run_object,
)
from tests.integration.agentry.stories import delegation

ROOT = Path(__file__).resolve().parents[3]
# How long a second Ctrl-C is waited for is told, so that a busy machine cannot miss the moment.
PROGRAM = """
from agentry.cli.live import follow
follow.SECOND_PRESS_SECONDS = {seconds}
from agentry.cli.main import main
main()
"""
PATIENCE_SECONDS = 60.0


class Terminal:
    """A program in a pseudo-terminal, read by a thread until its end."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.master = master
        self._said = b""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # the terminal is gone with its program
                chunk = b""
            with self._news:
                self._said += chunk
                self._news.notify_all()
            if not chunk:
                return

    @property
    def text(self) -> str:
        return self._said.decode()

    def wait_for(self, words: str) -> None:
        with self._news:
            has_come = self._news.wait_for(lambda: words in self.text, PATIENCE_SECONDS)
        assert has_come, self.text

    def press_ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return code


@contextmanager
def terminal(
    *words: str, second_press_seconds: float = 0.1, **environment: str
) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(seconds=second_press_seconds), *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        env={
            **os.environ,
            "TERM": "xterm-256color",
            "COLUMNS": "100",
            "LINES": "30",
            **environment,
        },
        start_new_session=True,
    )
    os.close(slave)
    opened = Terminal(process, master)
    try:
        yield opened
    finally:
        process.kill()
        opened.end()
        os.close(master)


@pytest.fixture(autouse=True)
def _settings(signed_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def open_run(server: ContractServer) -> ContractServer:
    """A run that is still going: its stream stays open."""
    server.tell(RUN, ("step.started", {"step": 1}), state="running", output="")
    server.held.add(RUN)
    return server


def test_a_run_is_shown_live_with_colours_and_its_child(server: ContractServer) -> None:
    delegation(server)
    server.always(f"POST {BASE}/runs", run_object(state="queued"), 202)

    with terminal("run", "Say hello", "-a", "researcher") as screen:
        code = screen.end()

    assert code == 0, screen.text
    assert "\x1b[32m✓ \x1b[0mwrite" in screen.text
    assert "   \x1b[32m✓ \x1b[0m\x1b[35mwriter \x1b[0msucceeded" in screen.text
    assert "succeeded (2 steps · 1,200 in, 34 out · $0.0123)" in screen.text
    assert "\x1b]0;" not in screen.text
    assert "\x1b[?25h" in screen.text  # the cursor is given back


def test_no_color_is_honoured(server: ContractServer) -> None:
    delegation(server)

    with terminal("runs", "watch", RUN, NO_COLOR="1") as screen:
        code = screen.end()

    assert code == 0
    assert "\x1b[32m" not in screen.text


def test_one_ctrl_c_stops_watching_and_says_how_to_come_back(open_run: ContractServer) -> None:
    with terminal("runs", "watch", RUN) as screen:
        assert open_run.opened.wait(PATIENCE_SECONDS)
        screen.wait_for("running")
        screen.press_ctrl_c()
        code = screen.end()

    assert code == 130
    assert f"Come back: agentry runs watch {RUN}" in screen.text
    assert open_run.runs[RUN]["state"] == "running"
    assert open_run.requests("POST", f"{BASE}/runs/{RUN}/cancel") == []


@pytest.mark.parametrize(("answer", "state"), [(b"y\n", "cancelled"), (b"\n", "running")])
def test_a_second_ctrl_c_cancels_after_asking(
    open_run: ContractServer, answer: bytes, state: str
) -> None:
    with terminal("runs", "watch", RUN, second_press_seconds=PATIENCE_SECONDS) as screen:
        assert open_run.opened.wait(PATIENCE_SECONDS)
        screen.wait_for("running")
        screen.press_ctrl_c()
        screen.wait_for("Press Ctrl-C again")
        screen.press_ctrl_c()
        screen.wait_for("Cancel run")
        os.write(screen.master, answer)
        code = screen.end()

    assert code == 130
    assert open_run.runs[RUN]["state"] == state


def test_the_view_shows_text_as_it_arrives(open_run: ContractServer) -> None:
    open_run.deltas[RUN] = {1: ["Once upon ", "a time"]}
    open_run.tell(RUN, ("run.note", {"sentence": "begun"}), state="running", output="")

    with terminal("runs", "watch", RUN) as screen:
        screen.wait_for("Once upon a time")
        screen.press_ctrl_c()
        screen.end()


def test_tables_and_differences_have_colours_on_a_terminal(
    server: ContractServer, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("{apiVersion: agentry/v1, kind: Agent, metadata: {name: a}, spec: {}}\n")
    server.always(f"GET {BASE}/runs", {"items": [run_object()], "next_cursor": None})
    difference = {"path": "spec.prompt", "before": "Old.", "after": "\x1b]0;x\x07New."}
    change = {"kind": "Agent", "name": "a", "action": "update", "diff": [difference]}
    server.always(f"POST {BASE}/apply", {"changes": [change]})

    with terminal("runs", "ls", COLUMNS="200") as screen:
        assert screen.end() == 0
    with terminal("apply", "-f", str(file)) as applied:
        assert applied.end() == 0

    assert "\x1b[32msucceeded" in screen.text
    assert "\x1b[32m      + New." in applied.text
    assert "\x1b[31m      - Old." in applied.text
