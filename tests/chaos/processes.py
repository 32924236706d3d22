"""The product's own commands as an operator starts them: from nothing, with every setting at its
default but the addresses of its servers."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.cluster import ROOT, Cluster
from tests.waiting import wait_for

# What says where things are. The rest of a chaos environment only hastens them.
ADDRESSES = ("DATABASE_URL", "REDIS_URL", "AGENTRY_DATA_DIR", "AGENTRY_FETCH_ALLOW")


def operated_environment(cluster: Cluster) -> dict[str, str]:
    """The cluster's servers and folders, and the product's defaults for everything else."""
    return {
        name: value
        for name, value in cluster.environment.items()
        if name in ADDRESSES or not name.startswith("AGENTRY_")
    }


class Operated:
    """One `manage.py …` process, with its words in a file of its own."""

    def __init__(self, *command: str, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        leash = shutil.which("setpriv")  # it ends with us, however we end
        with log.open("wb") as words:
            self._process = subprocess.Popen(
                [
                    *([leash, "--pdeathsig", "KILL"] if leash else []),
                    *(sys.executable, str(ROOT / "manage.py"), *command),
                ],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def leave(self) -> int:
        """Ask it to end in order; returns its exit status."""
        self._process.send_signal(signal.SIGTERM)
        wait_for(lambda: not self.is_alive, lambda: f"it does not leave: {self.last_words()}")
        return self._process.wait()

    def end(self) -> None:
        """End it at once if it is still there."""
        self._process.kill()
        self._process.wait()

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]
