"""The command line, called in the process of the test."""

from typing import Any

from typer.testing import CliRunner

from agentry.cli.main import app


def invoke(*words: str, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, list(words), input=stdin)
