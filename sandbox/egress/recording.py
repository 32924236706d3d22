"""Joining a gateway to the calls of a session."""

from collections.abc import Awaitable, Callable

import msgspec
import structlog

from sandbox.contracts import Command, Outcome
from sandbox.egress.gateway import Gateway

_log = structlog.get_logger(__name__)


async def recorded(
    gateway: Gateway, run: Callable[[Command], Awaitable[Outcome]], command: Command
) -> Outcome:
    """Run a command with the gateway's environment; its outcome has the connections it made.

    The command's own environment goes before. A call without an outcome has its connections told
    to the log, so that none goes unrecorded.
    """
    env = {**gateway.environment, **command.env}
    try:
        outcome = await run(msgspec.structs.replace(command, env=env))
    except BaseException:
        for connection in await gateway.taken():
            _log.info("sandbox_connection_without_outcome", **msgspec.structs.asdict(connection))
        raise
    return msgspec.structs.replace(outcome, connections=await gateway.taken())
