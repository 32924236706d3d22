"""What every source of secrets does: a value, or a sentence that names the place and no value."""

import ipaddress
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from core.env import ConfigurationError, Environment
from governance.errors import SecretUnreadableError
from governance.secrets.environment import EnvironmentSource
from governance.secrets.folder import FolderSource
from governance.secrets.places import SecretPlace, place_of, places_parse
from governance.secrets.source import CachedSource, SecretSource
from governance.secrets.vault import VaultSettings, VaultSource
from tests.wire.certificates import self_signed
from tests.wire.vault_server import ROLE, ROLE_SECRET, TOKEN

VALUE = "correct-horse-battery"


class Vault:
    """A vault in a process of its own."""

    def __init__(self, *words: str, scheme: str = "http") -> None:
        command = [sys.executable, "-m", "tests.wire.vault_server", *words]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def control(self, **order: Any) -> list[str]:
        request = urllib.request.Request(
            f"{self.url}/control", data=json.dumps(order).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            asked: list[str] = json.load(answer)["asked"]
            return asked

    def write(self, path: str, **data: Any) -> None:
        self.control(write={"path": path, "data": data})

    def stop(self) -> None:
        with self._process:
            self._process.terminate()


@pytest.fixture(scope="module")
def server() -> Iterator[Vault]:
    vault = Vault()
    yield vault
    vault.stop()


@pytest.fixture
def vault(server: Vault) -> Iterator[Vault]:
    yield server
    server.control(fault="")


def place(text: str) -> SecretPlace:
    return places_parse([f"acme/x={text}"])["acme", "x"]


_opened: list[VaultSource] = []


def source_of(vault: Vault, **more: Any) -> VaultSource:
    options = {"url": vault.url, "token": TOKEN, "timeout_seconds": 2.0, **more}
    _opened.append(VaultSource(VaultSettings(**options)))
    return _opened[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


Put = Callable[[str], None]


@pytest.fixture(params=["env", "file", "vault"])
def subject(
    request: pytest.FixtureRequest, vault: Vault, tmp_path: Path
) -> tuple[SecretSource, SecretPlace, Put]:
    if request.param == "env":
        known: dict[str, str] = {}
        return EnvironmentSource(known.get), place("env:X"), lambda value: known.update(X=value)
    if request.param == "file":
        file = tmp_path / "x"
        return FolderSource(str(tmp_path)), place("file:x"), lambda value: _write(file, value)
    vault.write("deep/x", other="o")
    return (
        source_of(vault),
        place("vault:kv/deep/x#value"),
        lambda value: vault.write("deep/x", value=value),
    )


def _write(file: Path, value: str) -> None:
    file.write_text(value)


def test_a_value_is_read_as_it_is_now(subject: tuple[SecretSource, SecretPlace, Put]) -> None:
    source, where, put = subject
    for value in (VALUE, "another-ünïcode-value", "two\nlines"):
        put(value)
        assert source.read(where) == value


def test_what_is_not_there_is_told_by_its_place(
    subject: tuple[SecretSource, SecretPlace, Put],
) -> None:
    source, where, put = subject
    with pytest.raises(SecretUnreadableError) as missing:
        source.read(where)
    put("")
    with pytest.raises(SecretUnreadableError) as empty:
        source.read(where)

    for caught in (missing, empty):
        assert str(where) in str(caught.value)
        assert caught.value.remedy


def test_a_role_signs_in_once_and_again_when_it_has_to(vault: Vault) -> None:
    vault.write("roles", value=VALUE)
    source = source_of(vault, token="", role_id=ROLE, secret_id=ROLE_SECRET)
    before = len(vault.control())

    assert [source.read(place("vault:kv/roles#value")) for _ in range(2)] == [VALUE, VALUE]
    vault.control(revoke=True)
    assert source.read(place("vault:kv/roles#value")) == VALUE
    kinds = [each.split()[0] for each in vault.control()[before:]]
    assert kinds == ["POST", "GET", "GET", "GET", "POST", "GET"]
    with pytest.raises(SecretUnreadableError, match="does not let the role sign in"):
        source_of(vault, token="", role_id=ROLE, secret_id="wrong").read(place("vault:kv/x#y"))


def test_a_wrong_token_and_namespaces(vault: Vault) -> None:
    vault.write("team/x", value=VALUE)
    where = place("vault:kv/team/x#value")

    assert source_of(vault, namespace="team").read(where) == VALUE
    with pytest.raises(SecretUnreadableError, match="404"):
        source_of(vault).read(where)
    with pytest.raises(SecretUnreadableError, match="403") as refused:
        source_of(vault, token="a-wrong-token").read(where)
    assert "a-wrong-token" not in str(refused.value)


@pytest.mark.parametrize(
    "fault",
    ["500", "503", "429", "302", "204", "hangs", "cuts", "not-json", "odd", "drips", "floods"],
)
def test_a_vault_in_trouble_is_told_in_time_and_not_quoted(vault: Vault, fault: str) -> None:
    vault.write("x", value=VALUE)
    vault.control(fault=fault)
    source = source_of(vault, timeout_seconds=0.5)

    with pytest.raises(SecretUnreadableError) as told:
        source.read(place("vault:kv/x#value"))
    vault.control(fault="")

    assert "vault:kv/x#value" in str(told.value)
    assert "canary" not in str(told.value)
    assert source.read(place("vault:kv/x#value")) == VALUE


def test_tls_is_checked(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    vault = Vault("--certificate", str(certificate), scheme="https")
    try:
        where = place("vault:kv/x#value")
        with pytest.raises(SecretUnreadableError, match="404"):
            source_of(vault, ca_file=str(certificate)).read(where)
        with pytest.raises(SecretUnreadableError, match="cannot be reached"):
            source_of(vault).read(where)
    finally:
        vault.stop()


def test_a_vault_that_is_away_is_asked_once_a_second() -> None:
    class Dead:
        asked = 0

        def read(self, where: SecretPlace) -> str:
            self.asked += 1
            raise SecretUnreadableError("away")

    now = 0.0
    dead = Dead()
    source = CachedSource(dead, seconds=30, monotonic=lambda: now)
    for _ in range(5):
        with pytest.raises(SecretUnreadableError):
            source.read(place("env:X"))
    now = 1.5
    with pytest.raises(SecretUnreadableError):
        source.read(place("env:X"))
    assert dead.asked == 2


def test_an_answer_is_used_for_a_short_while() -> None:
    known = {"X": VALUE}
    now = 0.0
    source = CachedSource(EnvironmentSource(known.get), seconds=30, monotonic=lambda: now)
    assert source.read(place("env:X")) == VALUE
    known["X"] = "another-value"
    now = 29.0
    assert source.read(place("env:X")) == VALUE
    now = 31.0
    assert source.read(place("env:X")) == "another-value"


def test_a_file_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(VALUE)
    folder = tmp_path / "folder"
    (folder / "..data").mkdir(parents=True)
    (folder / "..data" / "inside").write_text(f"{VALUE}\n")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "inside").symlink_to("..data/inside")
    (folder / "binary").write_bytes(b"\xff\xfe")
    source = FolderSource(str(folder))

    assert source.read(place("file:inside")) == VALUE
    for name, why in (("link", "link out"), ("binary", "UTF-8"), ("none", "No such file")):
        with pytest.raises(SecretUnreadableError, match=why):
            source.read(place(f"file:{name}"))
    with pytest.raises(SecretUnreadableError, match="AGENTRY_SECRETS_DIR"):
        FolderSource("").read(place("file:x"))


@pytest.mark.parametrize(
    "entry",
    [
        "github=env:X", "acme/github", "acme/1x=env:X", "ACME/x=env:X", "acme/x=ENV",
        "acme/x=env:x",
        "acme/x=env:KEY", "acme/x=env:KEY_FILE", "acme/x=env:SOURCES", "acme/x=env:KEY_FALLBACKS",
        "acme/x=file:../x", "acme/x=file:.x", "acme/x=file:a/b", "acme/x=vault:kv/x",
        "acme/x=vault:kv/../sys#x", "acme/x=vault:kv//x#y", "acme/x=http:x",
    ],
)  # fmt: skip
def test_an_entry_that_means_nothing_stops_the_start(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="AGENTRY_SECRET_SOURCES"):
        places_parse([entry])


def test_one_workspace_counts_before_all() -> None:
    places = places_parse(["*/x=env:ALL", "acme/x=env:ACME", "acme/y=file:y"])

    assert str(place_of(places, "acme", "x")) == "env:ACME"
    assert str(place_of(places, "other", "x")) == "env:ALL"
    assert place_of(places, "other", "y") is None
    with pytest.raises(ConfigurationError, match="second"):
        places_parse(["*/x=env:A", "*/x=env:B"])


def test_only_variables_the_site_names_are_no_mistake() -> None:
    named = {"AGENTRY_SECRET_SOURCES": "acme/x=env:X", "AGENTRY_SECRET_X": VALUE}
    Environment(named)
    with pytest.raises(ConfigurationError, match="AGENTRY_SECRET_Y"):
        Environment({**named, "AGENTRY_SECRET_Y": VALUE})


@pytest.mark.parametrize(
    "more",
    [
        {"url": "http://vault.example"}, {"url": "vault"}, {"token": ""},
        {"token": "t", "role_id": "r"}, {"timeout_seconds": 0.0},
    ],
)  # fmt: skip
def test_a_vault_that_cannot_be_used_stops_the_start(more: dict[str, Any]) -> None:
    known: dict[str, Any] = {"url": "https://vault.example", "token": "t"}
    VaultSettings(**known).check()
    with pytest.raises(ConfigurationError, match="AGENTRY_VAULT"):
        VaultSettings(**{**known, **more}).check()
