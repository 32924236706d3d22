"""Kill -9 while files are written, kept and restored: each change is there once, and is kept."""

from collections import deque

import pytest

from core.pausepoints import POINTS
from tests.chaos.cluster import Cluster, Worker

RUNS = 2
# Each order is followed by the next one, in the process that replaces the dead one. Restoring is
# reached only behind a death in mid-call.
ORDERS = (
    ("workspace.begun:kill:1", "workspace.begun:kill:2", "restore.entry:kill:1"),
    ("effect.after:kill:2", "restore.entry:kill:1", "restore.entry:kill:2"),
    ("snapshot.file_read:kill:2", "snapshot.before_flush:kill:3", "snapshot.before_tree:kill:2"),
    ("snapshot.after_tree:kill:3", "workspace.kept:kill:2", "result.before_commit:kill:2"),
    ("result.after_commit:kill:2", "workspace.before_end:kill:2", "workspace.begun:kill:3"),
)
ABOUT_FILES = ("snapshot.", "workspace.", "restore.")


def test_every_point_about_files_is_killed_at() -> None:
    killed = {order.partition(":")[0] for orders in ORDERS for order in orders}

    assert {point for point in POINTS if point.startswith(ABOUT_FILES)} <= killed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("orders", ORDERS, ids=lambda orders: orders[0])
def test_no_kill_loses_repeats_or_mixes_changes_of_files(
    desk: Cluster, orders: tuple[str, ...]
) -> None:
    waiting = deque(orders)

    def begin() -> Worker:
        start = desk.begin_site if desk.is_embedded else desk.begin
        order = waiting.popleft() if waiting else ""
        return start(order, AGENTRY_MAX_CRASHES="1000")

    alive = [begin()]
    roots = desk.start("editor", RUNS, "files")
    kills = 0

    def replace() -> None:
        nonlocal kills
        if not alive[0].is_alive:
            kills += 1
            alive[0] = begin()

    desk.settle(roots, tend=replace)

    assert kills >= 1
    assert desk.desk.call("files:complaints", roots=roots) == []
    desk.check(roots)
