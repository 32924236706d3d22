"""What lies around: the data folder is its owner's alone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

from django.conf import settings


def test_a_new_data_folder_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    environment = {**os.environ, "AGENTRY_DATA_DIR": str(folder), "DATABASE_URL": ""}
    subprocess.run(
        [sys.executable, "-c", "import agentry_site.settings.base"],
        check=True,
        cwd=settings.BASE_DIR,
        env=environment,
    )

    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_signing_in_leads_to_the_console_whatever_the_address_asked_for() -> None:
    assert settings.LOGIN_REDIRECT_URL == "admin:index"
