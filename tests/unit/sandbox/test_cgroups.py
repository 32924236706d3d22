"""Both versions of control groups, on folders that look like the kernel's."""

from pathlib import Path

from sandbox.cgroups.found import find
from sandbox.cgroups.v2 import HierarchyV2
from sandbox.contracts import MIB, Limit, Limits


def v2_root(tmp_path: Path) -> Path:
    root = tmp_path / "cgroup"
    (root / "agentry-sandbox").mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (root / "agentry-sandbox" / "memory.swap.max").touch()
    return root


def test_version_2_hands_controllers_down_and_writes_limits(tmp_path: Path) -> None:
    root = v2_root(tmp_path)
    found = find(mounts=f"cgroup2 {root} cgroup2 rw 0 0\n", own="0::/\n", is_root=True)
    group = found.group("s1")
    folder = group.folders[0]
    folder.mkdir()
    (folder / "memory.swap.max").touch()

    group.create(Limits(cpu=0.5, memory_bytes=64 * MIB, pids=10))

    assert (root / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (folder / "memory.max").read_text() == str(64 * MIB)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "pids.max").read_text() == "10"
    assert (folder / "cpu.max").read_text() == "50000 100000"
    assert found.names() == {"s1"}


def test_version_2_counts_what_the_kernel_killed(tmp_path: Path) -> None:
    group = HierarchyV2(v2_root(tmp_path)).group("s1")
    group.create(Limits(cpu=None, memory_bytes=None, pids=None))
    folder = group.folders[0]
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (folder / "memory.peak").write_text("4096\n")

    assert group.out_of_memory() == 2
    assert group.peak_memory_bytes() == 4096
    assert group.processes() == []
    group.kill()
    assert not (folder / "cgroup.kill").exists()


def test_controllers_that_are_not_there_are_missing_with_a_reason(tmp_path: Path) -> None:
    root = v2_root(tmp_path)
    (root / "cgroup.controllers").write_text("pids\n")
    (root / "agentry-sandbox" / "cgroup.subtree_control").touch()

    missing = HierarchyV2(root).missing

    # The folder stands in for the kernel, which shows `pids` here once it is handed down.
    assert {Limit.CPU, Limit.MEMORY} <= missing.keys()
    assert "`memory` controller" in missing[Limit.MEMORY]


def test_version_1_lies_below_the_own_group(tmp_path: Path) -> None:
    lines, own = [], []
    for number, controller in enumerate(("memory", "pids", "cpu", "freezer")):
        (tmp_path / controller / "ours").mkdir(parents=True)
        lines.append(f"cgroup {tmp_path / controller} cgroup rw,{controller} 0 0")
        own.append(f"{number}:{controller}:/ours")

    found = find(mounts="\n".join(lines), own="\n".join(own), is_root=True)

    assert found.missing == {}
    assert tmp_path / "memory" / "ours" / "agentry-sandbox" / "s1" in found.group("s1").folders


def test_without_root_or_mounts_everything_is_missing() -> None:
    for found in (
        find(mounts="cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", own="0::/\n", is_root=False),
        find(mounts="", own="", is_root=True),
    ):
        assert found.missing.keys() == {Limit.CPU, Limit.MEMORY, Limit.PIDS}
        assert found.names() == set()
        group = found.group("s1")
        group.create(Limits())
        group.kill()
        group.remove()
        assert (group.folders, group.processes()) == ((), [])
        assert (group.out_of_memory(), group.peak_memory_bytes()) == (0, 0)
