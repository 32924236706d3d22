"""A vendor as a process of its own: told by a scenario file, read back by its log."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import wait_for

KEY = "sk-real-input-0123456789abcdef"
PATHS = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorProcess:
    kind: str
    url: str
    log: Path
    pid: int

    def statuses(self) -> list[int]:
        """The answers it gave, in order; a request it refuses as malformed shows as 400."""
        return [line["status"] for line in self.requests()]

    def until_asked(self, times: int) -> None:
        """Wait until so many requests have come."""
        wait_for(lambda: len(self.requests()) >= times, lambda: f"asked: {self.statuses()}")

    def release(self) -> None:
        """Let it give the answers that are held."""
        os.kill(self.pid, signal.SIGUSR1)

    def requests(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        text = self.log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


@contextmanager
def vendor_process(
    kind: str, folder: Path, *answers: Mapping[str, Any], key: str = KEY
) -> Iterator[VendorProcess]:
    """Run `python -m tests.wire.<kind>_server` while the block runs."""
    script, log = folder / f"{kind}.json", folder / f"{kind}.log"
    script.write_text(json.dumps({"answers": list(answers)}))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", f"tests.wire.{kind}_server", "--script", str(script)),
            *("--log", str(log), "--key", key),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        url = f"http://127.0.0.1:{port}{PATHS[kind]}"
        yield VendorProcess(kind=kind, url=url, log=log, pid=process.pid)
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
