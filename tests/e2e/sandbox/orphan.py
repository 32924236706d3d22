"""A process that opens a sandbox, says where, and waits to be killed: run by `test_reaper`."""

import asyncio
import json
import sys
from pathlib import Path

from sandbox.contracts import Command, Profile
from sandbox.leases import FIRST_UID
from sandbox.runners.bubblewrap import BubblewrapRunner


async def main(folder: Path, workspace: Path) -> None:
    session = await BubblewrapRunner(folder).open(workspace, Profile(net=("a.test:443",)))
    groups = [str(group) for group in session.group.folders]
    told = {
        "groups": groups,
        "processes": session.group.processes(),
        "egress": str(folder / "egress" / str(session.uid - FIRST_UID)),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    await session.run(Command(argv=("sh", "-c", "echo kept >file; exec sleep 600")))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
