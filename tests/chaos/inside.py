"""A process with the project inside it, bound to the database its environment names.

    python -m tests.chaos.inside

Reads one JSON request a line and answers each with one:

    {"call": "tests.chaos.scenario:build", "with": {…}}   run a function here
    {"fork": ["worker", …], "env": {…}, "log": "…"}       begin `manage.py worker …` as a child
    {"fork": ["site", port], "env": {…}, "log": "…"}      begin the embedded site as a child

A child is forked after the imports and before anything else, so a worker starts in the time its
engine needs and not in that of the imports. One process is used for calls or for forks, never for
both: a fork must not inherit connections. When the input ends, the children are killed.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
import traceback
from typing import Any, TextIO

PR_SET_PDEATHSIG = 1


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the project prints is not an answer
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    import django

    django.setup()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    children: list[int] = []
    _answer(out, {"pid": os.getpid()})
    for line in sys.stdin:
        request = json.loads(line)
        if "fork" in request:
            pid = _fork(request)
            children.append(pid)
            _answer(out, {"result": pid})
        else:
            _answer(out, _call(request))
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _answer(out: TextIO, answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer, default=str) + "\n")
    out.flush()


def _call(request: dict[str, Any]) -> dict[str, Any]:
    from django.db import close_old_connections

    module, _, name = request["call"].partition(":")
    close_old_connections()
    try:
        function = getattr(importlib.import_module(module), name)
        return {"result": function(**request.get("with", {}))}
    except Exception:  # noqa: BLE001 - whoever called is told
        return {"error": traceback.format_exc()}


def _fork(request: dict[str, Any]) -> int:
    # Everything a worker imports late, so that no child pays for it.
    for late in ("agents.execution.host", "celery.apps.worker", "celery.bin.worker", "uvloop"):
        importlib.import_module(late)
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.update(request.get("env", {}))
        _settle()
        _become(request["fork"])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001 - the child ends here, with the cause in its log
        traceback.print_exc()
    finally:
        os._exit(status)


def _become(program: list[str]) -> None:
    if program[0] == "site":
        import uvicorn

        uvicorn.run("agentry_site.asgi:application", host="127.0.0.1", port=int(program[1]))
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(["manage.py", *program])


def _settle() -> None:
    """Read the worker's settings again: the child's environment is not the nursery's."""
    from django.conf import settings

    from core.env import Environment

    values = Environment.of_process()
    settings.WORKER_CAPACITY = values.integer("AGENTRY_WORKER_CAPACITY")
    settings.MAX_CRASHES = values.integer("AGENTRY_MAX_CRASHES")
    settings.LEASE_SECONDS = values.number("AGENTRY_LEASE_SECONDS")


if __name__ == "__main__":
    main()
