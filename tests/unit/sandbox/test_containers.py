"""What a container is made with, what comes out of it, and which image it may start from."""

import asyncio
import json
from pathlib import Path

import pytest

from sandbox.cgroups.found import found_group
from sandbox.contracts import MIB, Limits
from sandbox.errors import SandboxRefusedError
from sandbox.images import local_tag, named
from sandbox.runners.docker import DOCKER, GVISOR, Engine
from sandbox.runners.docker.engine import EngineError
from sandbox.runners.docker.frames import FrameReader
from sandbox.runners.docker.inside import files_for
from sandbox.runners.docker.settings import Wanted, container_of, host_of

DIGEST = "sha256:" + "0a" * 32


def wanted(limits: Limits) -> Wanted:
    return Wanted(
        image=DIGEST,
        runtime="runc",
        user=4711,
        workspace=Path("/somewhere/workspace"),
        files={"/etc/passwd": Path("/somewhere/passwd")},
        limits=limits,
        pids=13,
        labels={"a": "b"},
    )


def test_a_container_gets_nothing_by_default() -> None:
    host = host_of(wanted(Limits(cpu=0.5, memory_bytes=64 * MIB, open_files=32, file_bytes=MIB)))
    known, container = host["known"], container_of(wanted(Limits()))

    assert known["cap_drop"] == ["ALL"]
    assert known["network_mode"] == "none"
    assert known["read_only"] is True
    assert known["init"] is False
    assert known["ipc_mode"] == known["cgroupns"] == "private"
    assert known["security_opt"][0] == "no-new-privileges:true"
    assert json.loads(known["security_opt"][1].removeprefix("seccomp="))["defaultAction"] == (
        "SCMP_ACT_ERRNO"
    )
    assert known["mem_limit"] == known["memswap_limit"] == 64 * MIB
    assert (known["nano_cpus"], known["pids_limit"]) == (500_000_000, 13)
    assert known["log_config"]["Type"] == "none"
    assert {u["Name"]: (u["Soft"], u["Hard"]) for u in known["ulimits"]} == {
        "nofile": (32, 32),
        "fsize": (MIB, MIB),
        "core": (0, 0),
        "memlock": (65536, 65536),
        "msgqueue": (0, 0),
    }
    assert {m["Target"]: m["ReadOnly"] for m in known["mounts"]} == {
        "/workspace": False,
        "/etc/passwd": True,
    }
    assert all(m["BindOptions"] == {"Propagation": "rprivate"} for m in known["mounts"])
    assert set(known["tmpfs"]) == {"/tmp", "/dev/shm", "/run/secrets"}
    assert all("noexec,nosuid,nodev,size=" in how for how in known["tmpfs"].values())
    assert "/sys" in host["other"]["MaskedPaths"]
    assert container["User"] == "4711:4711"
    assert container["Env"] == ["PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"]
    assert container["Healthcheck"] == {"Test": ["NONE"]}
    assert container["StdinOnce"] is True


def test_no_limit_asked_for_is_no_limit_set() -> None:
    known = host_of(wanted(Limits(cpu=None, memory_bytes=None)))["known"]

    assert known.keys() & {"nano_cpus", "mem_limit", "memswap_limit"} == set()


def test_each_runtime_counts_processes_its_own_way() -> None:
    assert DOCKER.counted(12) == 13
    assert GVISOR.counted(12) == 220
    assert DOCKER.counted(None) is None
    assert GVISOR.counted(None) is None


def test_an_image_is_pinned_or_our_own() -> None:
    assert named("").name == named(local_tag()).name == local_tag()
    assert named("").is_local
    assert named(f"registry.example:5000/tools/python@{DIGEST}").remedy.startswith("Fetch it")
    for loose in ("python:3.12", "python", f"python@{DIGEST[:-1]}", "agentry-sandbox:latest"):
        with pytest.raises(SandboxRefusedError, match="not pinned") as refused:
            named(loose)
        assert "AGENTRY_SANDBOX_IMAGE" in refused.value.remedy


def test_an_engine_elsewhere_is_refused() -> None:
    engine = Engine("tcp://127.0.0.1:2375")

    assert not engine.is_there
    with pytest.raises(EngineError, match="no socket of this host"):
        engine.describe()


def test_files_of_ours_are_written_once_and_name_the_user(tmp_path: Path) -> None:
    first = files_for(tmp_path, place=3, user=4711)
    stamps = {file: file.stat().st_mtime_ns for file in first.values()}

    assert first["/etc/passwd"].read_text().startswith("tool:x:4711:4711::/workspace:")
    assert first["/etc/resolv.conf"].read_bytes() == b""
    assert first["/run/agentry/agent.py"].read_text().startswith('"""Process 1')
    assert "/run/agentry/relay.py" in first
    assert files_for(tmp_path, place=3, user=4711) == first
    assert {file: file.stat().st_mtime_ns for file in first.values()} == stamps
    first["/etc/passwd"].chmod(0o644)
    first["/etc/passwd"].write_text("root::0:0:::\n")
    assert (
        files_for(tmp_path, place=3, user=4711)["/etc/passwd"]
        .read_text()
        .startswith("tool:x:4711:")
    )


def test_a_group_is_taken_for_a_containers_only_by_its_name() -> None:
    assert found_group(1, named="0123456789abcdef" * 4) is None
    assert found_group(2**22 - 1, named="x") is None


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def reader_of(*parts: bytes) -> FrameReader:
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(parts))
    stream.feed_eof()
    return FrameReader(stream, line_bytes=100)


async def test_lines_are_put_together_from_frames() -> None:
    frames = reader_of(
        frame(1, b"on"), frame(2, b"  a warning\n"), frame(1, b"e\ntw"), frame(1, b"o\n")
    )

    assert [await frames.readuntil(b"\n"), await frames.readuntil(b"\n")] == [b"one\n", b"two\n"]
    assert frames.last_words == "a warning"
    with pytest.raises(asyncio.IncompleteReadError):
        await frames.readuntil(b"\n")


@pytest.mark.parametrize(
    "parts", [[frame(1, b"x" * 200)], [b"HTTP/1.1 500 no frame\n"], [frame(9, b"a\n")]]
)
async def test_floods_and_nonsense_end_the_reading(parts: list[bytes]) -> None:
    with pytest.raises(asyncio.LimitOverrunError):
        await reader_of(*parts).readuntil(b"\n")


async def test_a_frame_that_breaks_off_ends_the_reading() -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await reader_of(frame(1, b"half a line")[:-4]).readuntil(b"\n")
