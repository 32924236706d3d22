"""The secret a data folder makes for itself."""

import stat
from pathlib import Path

from core.env import secret_of_folder


def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = secret_of_folder(tmp_path)

    assert len(first) >= 50
    assert secret_of_folder(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_two_folders_have_two_secrets(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    assert secret_of_folder(tmp_path) != secret_of_folder(tmp_path / "other")
