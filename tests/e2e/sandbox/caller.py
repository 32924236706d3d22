"""A process that opens a sandbox through a worker, says so, and waits to be killed.

python -m tests.e2e.sandbox.caller <socket> <workspace>        of a worker that runs
python -m tests.e2e.sandbox.caller own <folder> <workspace>    of a worker of its own
"""

import asyncio
import sys
from pathlib import Path

from sandbox.contracts import Command, Profile
from sandbox.remote import ChildWorker, Locate, RemoteRunner, at
from sandbox.services import default_folder


async def main(locate: Locate, workspace: Path) -> None:
    session = await RemoteRunner(locate).open(workspace, Profile())
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await session.run(Command(argv=("sh", "-c", "echo kept >file; exec sleep 600")))


if __name__ == "__main__":
    if sys.argv[1] == "own":
        child = ChildWorker(workspaces=Path(sys.argv[2]), folder=default_folder())
        asyncio.run(main(child.locate, Path(sys.argv[3])))
    else:
        asyncio.run(main(at(Path(sys.argv[1])), Path(sys.argv[2])))
