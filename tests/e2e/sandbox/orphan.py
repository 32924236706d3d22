"""A process that opens a sandbox, says where, and waits to be killed: run by `test_reaper`."""

import asyncio
import json
import sys
from pathlib import Path

from sandbox.contracts import Command, Isolation, Profile
from sandbox.services import Sandboxes
from tests.conformance.sandbox.subjects import observed


async def main(folder: Path, workspace: Path, engine: str) -> None:
    profile = Profile(isolation=Isolation(engine))
    opened = await Sandboxes(folder).runner_for(profile).open(workspace, profile)
    group = observed(opened).group
    groups = [str(folder) for folder in group.folders]
    sys.stdout.write(json.dumps({"groups": groups, "processes": group.processes()}) + "\n")
    sys.stdout.flush()
    await opened.run(Command(argv=("sh", "-c", "echo kept >file; exec sleep 600")))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
