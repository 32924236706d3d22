"""Plays all probes on a stage of two network namespaces and prints what came of each.

Started in a namespace of its own by `test_egress` (`unshare --net --mount`): nothing it does can
leave the machine. The real runner and the real gateway run here; their resolver asks the stage's
name server and their roots are the stage's. The control is a user without rights in the same
namespace, with a proxy that asks nothing.
"""

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trustme

from core.addresses import why_refused
from sandbox.contracts import Command, Connection, HostCredential, Limits, Profile
from sandbox.egress import Outside
from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.services import default_folder
from sandbox.workspaces import delete_workspace
from tests.e2e.sandbox.egress import plan, probe

PROGRAM = Path(__file__).with_name("probe.py")
SEARCH = """env
cat /proc/*/environ /proc/*/cmdline /run/agentry/* /etc/* 2>/dev/null
grep -rh canary- /workspace /tmp /dev/shm
"""
CREDENTIALS = tuple(
    HostCredential(host=f"bound.test:{port}", header="Authorization", value=plan.SECRET)
    for port in (80, 443)
)


class Stage:
    """The internet and our end of the line to it."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        certificate = folder / "certificate.pem"
        issued = self.authority.issue_cert(*plan.SPOKEN_TO, "evil.test")
        certificate.write_bytes(
            issued.private_key_pem.bytes() + b"".join(c.bytes() for c in issued.cert_chain_pems)
        )
        self.process = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-m", "tests.e2e.sandbox.egress.internet",
             str(certificate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._expect("here")
        for words in (
            "link set lo up",
            f"link add net0 type veth peer name net1 netns {self.process.pid}",
            f"addr add {plan.OWN}/24 dev net0",
            "addr add 2001:db8::1/64 dev net0 nodad",
            "link set net0 up",
            "route add default dev net0",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        self._say("go")
        self._expect("ready")

    def _say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def _expect(self, word: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line != word:
            raise RuntimeError(f"the internet said {line!r}, not {word!r}")

    def take(self) -> list[dict[str, str]]:
        """Return what the internet has seen since it was last asked."""
        assert self.process.stdout is not None
        self._say("take")
        found: list[dict[str, str]] = json.loads(self.process.stdout.readline())
        return found

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Ask the stage's name server, and nobody else."""
        return await asyncio.to_thread(looked_up, host)

    def trust(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context


def looked_up(host: str) -> list[str]:
    found = []
    for kind, family, size in ((1, socket.AF_INET, 4), (28, socket.AF_INET6, 16)):
        labels = b"".join(bytes([len(part)]) + part for part in host.encode().split(b"."))
        question = b"\x00\x07\x01\x00\x00\x01" + bytes(6) + labels + b"\x00"
        question += kind.to_bytes(2, "big") + b"\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(2)
            link.sendto(question, (plan.NAMES, 53))
            answer = link.recv(2000)
        rest = answer[len(question) :]
        while rest:
            found.append(socket.inet_ntop(family, rest[12 : 12 + size]))
            rest = rest[12 + size :]
    return found


def judge(address: str) -> str:
    """The stage's public addresses are of ranges for documentation; all else is what it is."""
    return "" if address in {plan.ALLOWED, plan.EVIL} else why_refused(address)


class Canary:
    """A service of the host itself, on all its addresses."""

    def __init__(self) -> None:
        self.met = 0
        self.listener = socket.create_server(("0.0.0.0", plan.CANARY_PORT))
        self.listener.setblocking(False)

    def take(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        while True:
            try:
                self.listener.accept()[0].close()
            except BlockingIOError:
                return found
            found.append({"what": "service of the host"})


class NaiveProxy:
    """A proxy that asks nothing: what the probes do to one shows that they bite."""

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 3128)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.decode("latin-1").split(" ", 2)[1].split("\r")[0]
            is_tunnel = head.startswith(b"CONNECT")
            place = target if is_tunnel else target.removeprefix("http://").partition("/")[0]
            host, port = re.fullmatch(r"(?:.*@)?\[?([^\]]*?)\]?(?::(\d+))?", place).groups()  # type: ignore[union-attr]
            far = await asyncio.open_connection(await self._address(host), int(port or 80))
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                far[1].write(head)
            await asyncio.wait(
                [asyncio.ensure_future(_pump(reader, far[1])),
                 asyncio.ensure_future(_pump(far[0], writer))],
                timeout=5, return_when=asyncio.FIRST_COMPLETED,
            )  # fmt: skip
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            if far is not None:
                far[1].close()

    async def _address(self, host: str) -> str:
        if ":" in host:
            return host
        try:
            return socket.inet_ntoa(socket.inet_aton(host))  # in every notation there is
        except OSError:
            return (await asyncio.to_thread(looked_up, host))[0]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return


def told(connections: Sequence[Connection]) -> list[list[Any]]:
    return [[c.host, c.port, c.is_allowed, c.reason] for c in connections]


async def in_sandbox(stage: Stage, canary: Canary, folder: Path) -> dict[str, Any]:
    """Try everything in a real sandbox behind the real gateway."""
    workspace = folder / "workspace"
    workspace.mkdir()
    shutil.copy(PROGRAM, workspace)
    outside = Outside(resolver=stage.resolve, why_refused=judge, trust=stage.trust)
    profile = Profile(net=plan.NET, limits=Limits(wall_seconds=20))
    found: dict[str, Any] = {}
    opening = BubblewrapRunner(default_folder(), outside=outside).open(
        workspace, profile, credentials=CREDENTIALS
    )
    async with await opening as session:
        for name in (*probe.ALLOWED_ONES, *probe.REFUSED):
            env = {"PROBE_TRUSTS": "yes"} if name.startswith("bound_host") else {}
            outcome = await session.run(
                Command(argv=("python3", "-B", "/workspace/probe.py", name), env=env)
            )
            seen = await asyncio.to_thread(stage.take)
            found[name] = {
                "words": (outcome.stdout + outcome.stderr).decode(errors="replace"),
                "seen": seen + canary.take(),
                "connections": told(outcome.connections),
            }
        search = await session.run(Command(argv=("sh", "-c", SEARCH)))
        found["search"] = (search.stdout + search.stderr).decode(errors="replace")
    await asyncio.to_thread(delete_workspace, workspace)
    return found


async def without(stage: Stage, canary: Canary) -> dict[str, Any]:
    """Try everything as a user of the host, with a proxy that asks nothing."""
    proxy = NaiveProxy()
    await proxy.start()
    program = PROGRAM.read_bytes()
    found: dict[str, Any] = {}
    for name in probe.REFUSED:
        process = await asyncio.create_subprocess_exec(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
            "/usr/bin/python3", "-B", "-", name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        words = (await asyncio.wait_for(process.communicate(program), 30))[0].decode(
            errors="replace"
        )
        found[name] = {
            "words": words,
            "seen": await asyncio.to_thread(stage.take) + canary.take(),
        }
    return found


async def play(folder: Path) -> dict[str, Any]:
    stage, canary = Stage(folder), Canary()
    try:
        return {
            "sandbox": await in_sandbox(stage, canary, folder),
            "control": await without(stage, canary),
        }
    finally:
        stage.end()


def main() -> None:
    folder = Path(sys.argv[1])
    if Path("/proc/self/ns/net").readlink() == Path(f"/proc/{os.getppid()}/ns/net").readlink():
        sys.exit("The stage is a network namespace of its own; start it by test_egress.")
    resolv = folder / "resolv.conf"
    resolv.write_text(f"nameserver {plan.NAMES}\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
    sys.stdout.write(json.dumps(asyncio.run(play(folder))))


if __name__ == "__main__":
    main()
