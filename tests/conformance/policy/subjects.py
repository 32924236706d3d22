"""The engines under one suite: each given the same matrix, in its own way."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from governance.policy.contracts import PolicyEngine
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from governance.policy.opa import OpaClient, OpaEngine, PushedOpaEngine
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool

ALL = ("matrix", "rego", "opa", "opa-pushed")
PATIENT_SECONDS = 20.0  # these tests are about answers, not about time


class OpaProcess:
    """A program that serves one module; it can be stopped and started again on the same port."""

    def __init__(self, module: str | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._files: list[str] = []
        if module is not None:
            file = Path(self._folder.name) / "policy.rego"
            file.write_text(module, encoding="utf-8")
            self._files = [str(file)]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.wire.opa_server",
                *self._files,
                "--port",
                str(self.port),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        if self._process is None:
            return
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._process.stdout.close()
        self._process = None

    def close(self) -> None:
        self.stop()
        self._folder.cleanup()


@contextmanager
def opa_process(module: str | None = None) -> Iterator[OpaProcess]:
    process = OpaProcess(module)
    try:
        process.start()
        yield process
    finally:
        process.close()


@contextmanager
def opa_engine(
    url: str, *, digest: str = "", seconds: float = PATIENT_SECONDS
) -> Iterator[OpaEngine]:
    engine = OpaEngine(url, digest=digest, deadline_seconds=seconds)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def pushed_engine(
    url: str, module: str, *, digest: str = "digest", seconds: float = PATIENT_SECONDS
) -> Iterator[PushedOpaEngine]:
    client = OpaClient(url)
    try:
        yield PushedOpaEngine(
            module, digest=digest, client=client, deadline_seconds=seconds, push_seconds=seconds
        )
    finally:
        client.close()


@contextmanager
def subject(kind: str, text: str) -> Iterator[PolicyEngine]:
    """Yield an engine that judges by the matrix in `text`."""
    matrix = parse_matrix(text)
    compiled = compile_matrix(matrix)
    if kind == "matrix":
        yield MatrixEngine(matrix, digest=compiled.digest)
    elif kind == "rego":
        pool = RegoPool(processes=1, queue_seconds=30)
        try:
            yield RegoEngine.load(compiled.module, pool=pool, deadline_seconds=PATIENT_SECONDS)
        finally:
            pool.close()
    elif kind == "opa-pushed":
        with (
            opa_process() as process,
            pushed_engine(process.url, compiled.module, digest=compiled.digest) as engine,
        ):
            yield engine
    else:
        with (
            opa_process(compiled.module) as process,
            opa_engine(process.url, digest=compiled.digest) as engine,
        ):
            yield engine
