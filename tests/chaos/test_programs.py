"""A worker is killed with -9 while a program of its run is in a sandbox."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from sandbox.workspaces import quota
from tests.chaos.cluster import Cluster
from tests.waiting import wait_for

MARK = "7321.5"
HANGS_ONCE = f"if [ -e begun ]; then cat before; else touch begun; exec sleep {MARK}; fi"


@pytest.mark.timeout(300)
def test_a_worker_killed_in_mid_command_leaves_no_process_and_the_run_recovers(
    embedded: Cluster,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("sandboxes with a quota need root")
    site = embedded.ready(embedded.begin_site())
    run = embedded.desk.call("programs:begin", command=HANGS_ONCE)
    wait_for(_processes, lambda: f"the command did not begin: {_seen(embedded, run)}")

    os.kill(site.pid, signal.SIGKILL)
    wait_for(lambda: not _processes(), lambda: f"left behind: {_processes()}")

    second = embedded.ready(embedded.begin_site())
    wait_for(
        lambda: _seen(embedded, run)["wait_kind"] == "in_doubt",
        lambda: f"{_seen(embedded, run)} {embedded.last_words()}",
    )
    assert _seen(embedded, run)["call"] == "in_doubt"
    assert _processes() == []
    embedded.desk.call("programs:retry", run=run)
    wait_for(
        lambda: _seen(embedded, run)["state"] == "succeeded",
        lambda: f"{_seen(embedded, run)} {embedded.last_words()}",
    )

    seen = _seen(embedded, run)
    assert seen["output"].endswith("kept")
    assert (seen["call"], seen["attempt"]) == ("committed", 2)
    second.send(signal.SIGTERM)
    wait_for(lambda: not second.is_alive, lambda: "the site does not leave")
    data = Path(embedded.environment["AGENTRY_DATA_DIR"])
    folders = [each for each in data.glob("workspaces/*/*") if each.is_dir()]
    assert folders
    assert [each for each in folders if quota.is_mounted(each)] == []


def _seen(cluster: Cluster, run: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.desk.call("programs:seen", run=run)
    return found


def _processes() -> list[str]:
    """The processes on this host that run the command."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if MARK.encode() in words:
            found.append(place.parent.name)
    return found
