"""Log lines: one shape, the run they are about, no secrets, no local variables."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import structlog

from agentry_site.logs import level_set, logging_config
from core.env import ConfigurationError

SECRET = "sk-" + "q" * 32


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What a handler with the site's formatter wrote."""
    configured = logging_config(format_name="json", level="INFO")
    line = dict(configured["formatters"]["line"])
    formatter: logging.Formatter = line.pop("()")(**line)
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    logger = logging.getLogger("site-logs-test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield written
    logger.removeHandler(handler)
    structlog.contextvars.clear_contextvars()


def _read(written: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_says_which_run_it_is_about(lines: StringIO) -> None:
    with structlog.contextvars.bound_contextvars(run_id="r-1"):
        structlog.get_logger("site-logs-test").info("step.begun", step=3)
        logging.getLogger("site-logs-test").info("library %s", "speaks", extra={"port": 80})

    ours, theirs = _read(lines)
    assert ours.pop("timestamp") <= theirs.pop("timestamp")
    assert ours == {
        "event": "step.begun",
        "level": "info",
        "logger": "site-logs-test",
        "run_id": "r-1",
        "step": 3,
    }
    assert theirs == {
        "event": "library speaks",
        "level": "info",
        "logger": "site-logs-test",
        "port": 80,
        "run_id": "r-1",
    }


def test_secrets_are_taken_out_wherever_they_stand(lines: StringIO) -> None:
    structlog.get_logger("site-logs-test").info(
        f"said {SECRET}", password="p", deep={"list": [SECRET]}, thing=ValueError(SECRET)
    )

    (line,) = _read(lines)
    assert line["event"] == "said [redacted]"
    assert line["password"] == "[redacted]"
    assert line["deep"] == {"list": ["[redacted]"]}
    assert line["thing"] == "[redacted]"


def test_a_traceback_names_places_and_shows_no_variables(lines: StringIO) -> None:
    local = "what the request gave"
    try:
        raise ValueError(f"refused {SECRET} and {len(local)}")
    except ValueError:
        structlog.get_logger("site-logs-test").exception("failed")

    (line,) = _read(lines)
    (failure,) = line["exception"]
    assert failure["exc_value"] == "refused [redacted] and 21"
    assert [sorted(frame) for frame in failure["frames"]] == [["filename", "lineno", "name"]]
    assert local not in lines.getvalue()


def test_a_value_that_cannot_be_shown_does_not_lose_the_line(lines: StringIO) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    structlog.get_logger("site-logs-test").info("still.here", thing=Broken())

    (line,) = _read(lines)
    assert line["event"] == "still.here"
    assert line["thing"] == "<Broken that cannot be shown: RuntimeError>"


@pytest.mark.parametrize(
    ("format_name", "level", "sentence"),
    [
        ("xml", "INFO", "AGENTRY_LOG_FORMAT='xml' is not one of: console, json."),
        (
            "json",
            "LOUD",
            "AGENTRY_LOG_LEVEL='LOUD' is not one of: DEBUG, INFO, WARNING, ERROR, CRITICAL.",
        ),
    ],
)
def test_an_unknown_choice_stops_the_start(format_name: str, level: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        logging_config(format_name=format_name, level=level)

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("level", "server"), [("DEBUG", "INFO"), ("INFO", "INFO"), ("WARNING", "WARNING")]
)
def test_the_server_keeps_to_the_level_and_quotes_no_messages(level: str, server: str) -> None:
    loggers = logging_config(format_name="console", level=level)["loggers"]

    assert loggers["uvicorn.error"]["level"] == server


def test_a_line_of_the_server_is_told_once(lines: StringIO) -> None:
    colored = {"color_message": "Started process [\x1b[36m%d\x1b[0m]"}
    logging.getLogger("site-logs-test").info("Started process [7]", extra=colored)

    (line,) = _read(lines)
    assert line["event"] == "Started process [7]"
    assert "color_message" not in line


def test_a_command_line_may_ask_for_another_level() -> None:
    root = logging.getLogger()
    before = root.level
    level_set("ERROR")
    chosen = root.level
    level_set(None)
    kept = root.level
    root.setLevel(before)

    assert (chosen, kept) == (logging.ERROR, logging.ERROR)
