"""A gateway's life: its socket, what goes inside, what its end leaves."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from sandbox.contracts import HostCredential
from sandbox.egress import SOCKET, Bounds, Gateway
from sandbox.egress.flow import Meter
from sandbox.errors import SandboxRefusedError
from tests.unit.sandbox.egress.world import QUICK, World


async def test_the_socket_is_for_one_user_and_goes_with_the_gateway(world: World) -> None:
    place = world.folder / "way" / SOCKET
    async with world.opened("a.test:1"):
        mode = place.stat().st_mode
        owner = place.stat().st_uid
    async with world.opened("a.test:1"):
        assert place.exists()

    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode), owner) == (True, 0o600, os.geteuid())
    assert not place.exists()


async def test_roots_to_trust_are_beside_the_socket(world: World) -> None:
    credential = HostCredential(host="a.test:443", header="X-Key", value="canary-778")
    folder = world.folder / "way"
    async with world.opened("a.test:443", credentials=[credential]) as gateway:
        (place,) = gateway.files
        content = (folder / Path(place).name).read_bytes()
        is_for_all = stat.S_IMODE((folder / Path(place).name).stat().st_mode) == 0o444

    assert place == gateway.environment["SSL_CERT_FILE"] == "/run/agentry-egress/roots.pem"
    assert content == gateway.files[place]
    assert is_for_all
    assert list(folder.iterdir()) == []


async def test_a_path_longer_than_a_sockets_name_may_be_works(world: World) -> None:
    world.folder = world.folder / ("x" * 120)
    world.folder.mkdir()
    async with world.opened("a.test:1"):
        assert (world.folder / "way" / SOCKET).exists()


async def test_a_link_in_the_folders_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="way"):
        await Gateway(["a.test:1"]).start(tmp_path / "way")

    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_the_end_of_a_call_ends_its_connections(world: World) -> None:
    ended = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()

    site = await world.upstream("a.test", answer=hold)
    async with world.opened(f"a.test:{site.port}", bounds=Bounds()) as gateway:
        reader, writer = await world.connect()
        writer.write(f"CONNECT a.test:{site.port} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        waiting = await world.connect()
        records = await gateway.taken()
        await asyncio.wait_for(ended.wait(), 5)
        rest = await reader.read()
        for end in (writer, waiting[1]):
            end.close()
        again = await gateway.taken()

    assert rest == b""
    assert {record.reason for record in records} == {"", "the call ended first"}
    assert again == ()


async def test_each_call_has_its_bytes_to_itself(world: World) -> None:
    site = await world.upstream("a.test")
    async with world.opened(f"a.test:{site.port}") as gateway:
        before = gateway._meter
        await gateway.taken()

        assert gateway._meter is not before
        assert isinstance(gateway._meter, Meter)


async def test_a_fault_of_the_gateway_itself_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def faulty(host: str, port: int) -> list[str]:
        raise LookupError("a fault")

    monkeypatch.setattr(type(world.names), "__call__", lambda self, host, port: faulty(host, port))
    async with world.opened("a.test:1") as gateway:
        answer = await world.ask(b"CONNECT a.test:1 HTTP/1.1\r\n\r\n")
        records = await gateway.taken()

    assert answer == b""
    assert isinstance(told[0]["exception"], LookupError)
    assert [(record.is_allowed, record.reason) for record in records] == [
        (True, "the gateway failed: LookupError")
    ]


def test_clients_without_proxies_find_the_hosts() -> None:
    gateway = Gateway(
        ["b.test:5432", "a.test:5432", "a.test:6379", "a.test:443", "*.c.test:9000", "10.0.0.1:99"]
    )

    assert list(gateway.hosts) == ["127.0.1.1 a.test", "127.0.1.2 b.test"]
    assert gateway.environment == {
        "http_proxy": "http://127.0.0.1:3128",
        "https_proxy": "http://127.0.0.1:3128",
        "HTTP_PROXY": "http://127.0.0.1:3128",
        "HTTPS_PROXY": "http://127.0.0.1:3128",
        "no_proxy": "localhost,127.0.0.1,::1",
        "NO_PROXY": "localhost,127.0.0.1,::1",
    }
    assert [(str(door), str(place)) for door, place in gateway.ways.doors] == [
        ("127.0.1.1:5432", "a.test:5432"),
        ("127.0.1.1:6379", "a.test:6379"),
        ("127.0.1.2:5432", "b.test:5432"),
    ]


@pytest.mark.parametrize(
    ("entry", "own"),
    [
        ("127.0.0.1:8080", "localhost,::1"),
        ("localhost:8080", "127.0.0.1,::1"),
        ("[::1]:8080", "localhost,127.0.0.1"),
        ("*.localhost:8080", "localhost,127.0.0.1,::1"),
    ],
)
def test_a_loopback_host_that_is_listed_is_the_outside_one(entry: str, own: str) -> None:
    assert Gateway([entry]).environment["no_proxy"] == own


def test_low_ports_have_a_door_where_that_is_possible() -> None:
    gateway = Gateway(["a.test:443"], has_low_ports=True)

    assert [str(door) for door, _ in gateway.ways.doors] == ["127.0.1.1:443"]


def test_what_goes_inside_has_no_secret() -> None:
    credential = HostCredential(host="a.test:443", header="X-Key", value="canary-778")
    gateway = Gateway(["a.test:443"], [credential], bounds=QUICK)

    told = [*gateway.environment.values(), *gateway.hosts, gateway.ways.for_relay("/x"),
            *(data.decode() for data in gateway.files.values()), repr(credential)]  # fmt: skip
    assert not any("canary" in text for text in told)


def test_more_hosts_than_files_may_be_open_are_refused() -> None:
    names = [f"h{number}.test:5432" for number in range(20)]
    Gateway(names, open_files=64)
    Gateway([name.replace(":5432", ":443") for name in names], open_files=32)
    with pytest.raises(SandboxRefusedError, match="32 open files leave room for 4"):
        Gateway(names, open_files=32)
