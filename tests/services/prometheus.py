"""A private Prometheus."""

import contextlib
import urllib.request
from pathlib import Path

from tests.services.programs import find_program
from tests.services.server import Server


class PrometheusServer(Server):
    """A Prometheus of our own, with the given configuration file."""

    name = "prometheus"

    def __init__(self, folder: Path, config: Path) -> None:
        super().__init__(folder)
        self._config = config

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _mark(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [
            find_program("prometheus"), f"--config.file={self._config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        ]  # fmt: skip

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer,
        ):
            return bool(answer.status == 200)
        return False
