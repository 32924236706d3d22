"""Regular expressions from a model, kept from doing harm.

Python's `re` can take time exponential in its input and cannot be stopped from outside, so an
expression written by a model never runs in this process. It runs in a child (`matching_child`)
without environment, with limits on processor time and memory, and is killed at the deadline. Text
goes to it and answers come back over pipes, one file at a time; the child opens no files.
"""

import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from agents.tools.confine import MAX_FILE_BYTES
from agents.tools.text import replaced
from plugins.errors import InvalidArgumentsError, ToolError

MAX_SECONDS = 10.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_PATTERN_CHARACTERS = 1_000

_CHILD = Path(__file__).with_name("matching_child.py")
_SPECIAL = frozenset(".^$*+?{}[]\\|()")
_LENGTH = struct.Struct(">I")


class Matcher(Protocol):
    def lines(self, text: str) -> list[int]:
        """Return the indexes of the lines that contain a match, in order."""
        ...

    def replace(self, text: str, replacement: str) -> tuple[str, int]:
        """Return the text with every match replaced, and how many there were."""
        ...


class _Literal:
    def __init__(self, wanted: str) -> None:
        self._wanted = wanted

    def lines(self, text: str) -> list[int]:
        return [index for index, line in enumerate(text.split("\n")) if self._wanted in line]

    def replace(self, text: str, replacement: str) -> tuple[str, int]:
        return replaced(text, self._wanted, replacement, MAX_FILE_BYTES)


class _Failure(msgspec.Struct):
    error: str


class _Lines(msgspec.Struct):
    lines: list[int]


class _Replaced(msgspec.Struct):
    text: str
    count: int


class _Child:
    def __init__(self, process: "subprocess.Popen[bytes]", timed_out: threading.Event) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input: BinaryIO = process.stdin  # type: ignore[assignment]
        self._output: BinaryIO = process.stdout  # type: ignore[assignment]
        self._timed_out = timed_out

    def lines(self, text: str) -> list[int]:
        return msgspec.json.decode(self.ask({"do": "lines", "text": text}), type=_Lines).lines

    def replace(self, text: str, replacement: str) -> tuple[str, int]:
        question = {"do": "replace", "text": text, "replacement": replacement}
        answer = msgspec.json.decode(self.ask(question), type=_Replaced)
        return answer.text, answer.count

    def ask(self, question: Mapping[str, object]) -> bytes:
        data = msgspec.json.encode(question)
        try:
            self._input.write(_LENGTH.pack(len(data)) + data)
            self._input.flush()
            answer = self._read(_LENGTH.unpack(self._read(_LENGTH.size))[0])
        except (BrokenPipeError, EOFError) as error:
            if self._timed_out.is_set():
                raise ToolError(
                    f"The regular expression took longer than {MAX_SECONDS:g} seconds.",
                    remedy="Use a simpler one without nested repetition, or a literal search.",
                ) from error
            raise ToolError(
                "The regular expression used more time or memory than it may.",
                remedy="Use a simpler one without nested repetition, or a literal search.",
            ) from error
        if answer.startswith(b'{"error":'):
            raise InvalidArgumentsError(msgspec.json.decode(answer, type=_Failure).error)
        return answer

    def _read(self, length: int) -> bytes:
        if length > MAX_ANSWER_BYTES:
            raise ToolError(f"The result would be larger than {MAX_ANSWER_BYTES} bytes.")
        data = self._output.read(length)
        if len(data) < length:
            raise EOFError
        return data


@contextmanager
def matcher(pattern: str, *, literal: bool, ignore_case: bool) -> Iterator[Matcher]:
    """Yield what finds `pattern`; a plain string needs no child. Blocking: use it in a thread.

    Raises `InvalidArgumentsError` for an expression that does not compile, `ToolError` for one
    that exceeds its limits.
    """
    if not ignore_case and (literal or not _SPECIAL.intersection(pattern)):
        yield _Literal(pattern)
        return
    process = subprocess.Popen(  # noqa: S603  our own interpreter and file; the pattern is data
        [sys.executable, "-I", "-S", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    timed_out = threading.Event()

    def stop() -> None:
        timed_out.set()
        process.kill()

    timer = threading.Timer(MAX_SECONDS, stop)
    timer.daemon = True
    timer.start()
    try:
        child = _Child(process, timed_out)
        child.ask(
            {"do": "compile", "pattern": pattern, "literal": literal, "ignore_case": ignore_case}
        )
        yield child
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # unsent bytes for a child that is gone
