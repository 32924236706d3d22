"""What production asks of its settings."""

import subprocess
import sys
from pathlib import Path

from core.env import environment_of_child
from tests.architecture.source import ROOT


def _check(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = environment_of_child(
        changes={"AGENTRY_ENV": "production", "AGENTRY_DATA_DIR": str(folder), **variables}
    )
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_settings_pass_every_check(tmp_path: Path) -> None:
    done = _check(tmp_path, AGENTRY_SECRET_KEY="k9-Qz" * 11)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "System check identified no issues (3 silenced).\n"


def test_production_refuses_the_embedded_secret(tmp_path: Path) -> None:
    done = _check(tmp_path)

    assert done.returncode != 0
    assert "AGENTRY_SECRET_KEY is missing or shorter than 40 characters." in done.stderr


def test_an_unknown_variable_stops_the_start_with_a_suggestion(tmp_path: Path) -> None:
    done = _check(tmp_path, AGENTRY_SECRET_KEY="k9-Qz" * 11, AGENTRY_LOG_LEVLE="INFO")

    assert done.returncode != 0
    assert "Unknown environment variable AGENTRY_LOG_LEVLE." in done.stderr
    assert "Did you mean AGENTRY_LOG_LEVEL?" in done.stderr
