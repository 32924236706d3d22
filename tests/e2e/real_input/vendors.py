"""A vendor as a process of its own: told by a scenario file, read back by its log."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "sk-real-input-0123456789abcdef"
PATHS = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorProcess:
    kind: str
    url: str
    log: Path

    def statuses(self) -> list[int]:
        """The answers it gave, in order; a request it refuses as malformed shows as 400."""
        return [line["status"] for line in self.requests()]

    def requests(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def vendor_process(kind: str, folder: Path, *answers: Mapping[str, Any]) -> Iterator[VendorProcess]:
    """Run `python -m tests.wire.<kind>_server` while the block runs."""
    script, log = folder / f"{kind}.json", folder / f"{kind}.log"
    script.write_text(json.dumps({"answers": list(answers)}))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", f"tests.wire.{kind}_server", "--script", str(script)),
            *("--log", str(log), "--key", KEY),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield VendorProcess(kind=kind, url=f"http://127.0.0.1:{port}{PATHS[kind]}", log=log)
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
