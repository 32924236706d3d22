"""The process that evaluates Rego: `python -m governance.policy.rego.worker`.

Frames on standard input and output: four bytes of length, then JSON. It serves one request at a
time with one interpreter a policy, ends when its input does, and is ended by its own alarm when an
evaluation does not. It holds nothing that anybody would miss.
"""

import contextlib
import json
import os
import resource
import signal
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

QUERY = "answer = data.agentry.tool.decision"
MAX_POLICIES = 64
BUILD_SECONDS = 20.0

_POLICIES: "OrderedDict[str, _Policy]" = OrderedDict()


class _Policy:
    """One interpreter with its bundle, built once."""

    def __init__(self, module: str) -> None:
        from regopy import Interpreter

        self._interpreter = Interpreter()
        # Else a failing built-in makes its rule undefined, and a denial vanishes.
        self._interpreter.strict_built_in_errors = True
        self._interpreter.add_module("policy.rego", module)
        self._bundle = self._interpreter.build(QUERY)
        if not self._bundle.ok():
            raise ValueError("the module does not compile")

    def evaluate(self, document: str) -> Any:
        """Return the answer; raise ValueError when there is none.

        The input is given as JSON text: given as a value, its texts would end at a NUL.
        """
        self._interpreter.set_input_term(document)
        output = self._interpreter.query_bundle(self._bundle)
        text = str(output)
        if text == "undefined":
            raise ValueError("it is undefined for this call")
        if not text.startswith("{"):  # the library writes `<error>` for whatever it was
            raise ValueError("a function failed, or two rules contradict each other")
        found = json.loads(text)
        if found["expressions"] != [True]:
            raise ValueError("it has no single answer")
        return found["bindings"]["answer"]


def main() -> None:
    source, target = sys.stdin.buffer, _own_output()
    _prepare()
    while (request := _read(source)) is not None:
        answer = json.dumps(serve(request) | {"held_bytes": _held_bytes()}).encode()
        target.write(struct.pack(">I", len(answer)) + answer)
        target.flush()


def _own_output() -> BinaryIO:
    """Keep the pipe for frames; whatever else writes to standard output goes nowhere."""
    kept = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return kept


def _prepare() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The library reserves 256 GiB of addresses at its start, so no limit can be set on them:
    # the owner replaces a process that grew, and the kernel, if it must end one, ends this.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _held_bytes() -> int:
    """Return the memory in use. What the kernel accounts as the peak may be our parent's."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def _read(source: BinaryIO) -> dict[str, Any] | None:
    head = source.read(4)
    if len(head) < 4:
        return None
    found: dict[str, Any] = json.loads(source.read(struct.unpack(">I", head)[0]))
    return found


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks; never raise."""
    # Nothing in Python runs while the library does, so the signal keeps its plain effect.
    signal.setitimer(signal.ITIMER_REAL, request.get("seconds", BUILD_SECONDS))
    try:
        return _OPERATIONS[request["do"]](request)
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no answer
        return {"failed": _sentence(error)}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _check(request: dict[str, Any]) -> dict[str, Any]:
    from regopy import Interpreter

    interpreter = Interpreter()
    return {"unknown": [name for name in request["names"] if not interpreter.is_builtin(name)]}


def _load(request: dict[str, Any]) -> dict[str, Any]:
    _POLICIES[request["digest"]] = _Policy(request["module"])
    while len(_POLICIES) > MAX_POLICIES:
        _POLICIES.popitem(last=False)
    return {"loaded": True}


def _evaluate(request: dict[str, Any]) -> dict[str, Any]:
    policy = _POLICIES.get(request["digest"])
    if policy is None:
        return {"missing": True}
    _POLICIES.move_to_end(request["digest"])
    return {"answer": policy.evaluate(request["document"])}


_OPERATIONS = {"check": _check, "load": _load, "evaluate": _evaluate}


def _sentence(error: Exception) -> str:
    if isinstance(error, ValueError | KeyError) and not isinstance(error, json.JSONDecodeError):
        text = str(error)
    else:
        # The library prints what went wrong where it should print JSON.
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]


if __name__ == "__main__":
    main()
