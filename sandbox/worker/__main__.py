"""`python -m sandbox.worker`: the sandbox worker without the rest of the site."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from socket import gethostname

from core.env import ConfigurationError, Environment
from core.errors import DomainError
from core.pausepoints import install_from_environment
from core.tracing.setup import TraceSettings, tracing_start, tracing_stop
from sandbox.worker.server import Setting, serve


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; status 1 and a sentence when that is not possible."""
    env = Environment.of_process()
    parser = argparse.ArgumentParser(prog="sandbox.worker", description=__doc__)
    parser.add_argument("--socket", default=env.text("AGENTRY_SANDBOX_SOCKET"))
    parser.add_argument("--workspaces", required=True, help="The folder all workspaces are below.")
    parser.add_argument("--folder", default="", help="Where locks and places are.")
    parser.add_argument(
        "--attached",
        action="store_true",
        help="End with standard input, and say `ready` on standard output.",
    )
    given = parser.parse_args(arguments)
    if not given.socket:
        parser.error("name the socket: --socket or AGENTRY_SANDBOX_SOCKET")
    install_from_environment()
    logging.basicConfig(level=logging.INFO, format="sandbox worker: %(message)s")
    try:
        setting = Setting.of(
            env,
            socket=Path(given.socket),
            workspaces=Path(given.workspaces),
            folder=Path(given.folder) if given.folder else None,
        )
        tracing_start(TraceSettings.of(env), role="sandbox-worker", instance=gethostname())
        asyncio.run(
            serve(
                setting,
                input_ends=sys.stdin.fileno() if given.attached else None,
                is_told=given.attached,
            )
        )
    except (ConfigurationError, DomainError) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    finally:
        tracing_stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
