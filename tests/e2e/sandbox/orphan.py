"""A process that opens a sandbox, says where, and waits to be killed: run by `test_reaper`."""

import asyncio
import json
import sys
from pathlib import Path

from sandbox.contracts import Command, Isolation, Profile
from sandbox.leases import FIRST_UID
from sandbox.services import Sandboxes
from tests.conformance.sandbox.subjects import HOLDERS_OF_NET, observed


async def main(folder: Path, workspace: Path, engine: str) -> None:
    net = ("a.test:443",) if engine in HOLDERS_OF_NET else ()
    profile = Profile(isolation=Isolation(engine), net=net)
    opened = await Sandboxes(folder).runner_for(profile).open(workspace, profile)
    group = observed(opened).group
    told = {
        "groups": [str(folder) for folder in group.folders],
        "processes": group.processes(),
        "egress": str(folder / "egress" / str(observed(opened).uid - FIRST_UID)),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    await opened.run(Command(argv=("sh", "-c", "echo kept >file; exec sleep 600")))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
