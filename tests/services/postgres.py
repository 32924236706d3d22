"""A private PostgreSQL."""

import os
import shutil
import signal
import sys
from pathlib import Path

from tests.services.programs import ServiceError, command_of, find_program, run, server_account
from tests.services.server import Server

if sys.platform != "win32":
    import pwd

USER = "agentry"


class PostgresServer(Server):
    """A PostgreSQL cluster of our own, trusting every loopback connection.

    `is_durable` keeps fsync on, for chaos and benches; tests of behaviour turn it off.
    """

    name = "postgres"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        dies_with_us: bool = True,
        is_durable: bool = True,
    ) -> None:
        super().__init__(folder, port=port, dies_with_us=dies_with_us)
        self.is_durable = is_durable

    @property
    def data_folder(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = USER) -> str:
        return f"postgres://{USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self._client("createdb", name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending whoever is still connected to it."""
        self._client("dropdb", "--if-exists", "--force", name)

    def has_database(self, name: str) -> bool:
        done = run([find_program("psql"), *self._address(), "-d", name, "-c", ""], account=None)
        return done.returncode == 0

    def _client(self, program: str, *arguments: str) -> None:
        done = run([find_program(program), *self._address(), *arguments], account=None)
        if done.returncode:
            raise ServiceError(f"{program} failed: {done.stderr.strip()}")

    def _address(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER]

    def _account(self) -> "pwd.struct_passwd | None":
        return server_account()

    def _mark(self) -> str:
        return str(self.data_folder)

    def _stop_signal(self) -> int:
        return signal.SIGINT  # "fast": end sessions, write a checkpoint, leave

    def _prepare(self) -> None:
        super()._prepare()
        if (self.data_folder / "PG_VERSION").exists():
            self._forget_dead_postmaster()
            return
        shutil.rmtree(self.data_folder, ignore_errors=True)
        self.data_folder.mkdir(mode=0o700)
        account = self._account()
        if account is not None:
            os.chown(self.data_folder, account.pw_uid, account.pw_gid)
        done = run(
            [
                find_program("initdb"), "-D", str(self.data_folder), "-U", USER, "-A", "trust",
                "-E", "UTF8", "--locale=C", "--no-sync",
            ],
            account=account,
        )  # fmt: skip
        if done.returncode:
            raise ServiceError(f"initdb failed in {self.data_folder}: {done.stderr.strip()}")

    def _forget_dead_postmaster(self) -> None:
        """Remove the lock of a killed server, whose id another process may carry by now."""
        lock = self.data_folder / "postmaster.pid"
        if lock.exists():
            pid = int(lock.read_text().split()[0])
            if self._mark() in command_of(pid):
                raise ServiceError(f"Another server, process {pid}, runs in {self.data_folder}.")
            lock.unlink()

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "UTC",
        }
        if not self.is_durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [word for item in settings.items() for word in ("-c", "=".join(item))]
        return [find_program("postgres"), "-D", str(self.data_folder), *options]

    def _answers(self) -> bool:
        """Read what the server itself says: another one may answer on the port we wanted."""
        try:
            words = (self.data_folder / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return False
        return words[:1] == [str(self.pid)] and words[-1:] == ["ready"]
