"""A private Redis."""

import contextlib
import socket

from tests.services.programs import ServiceError, find_program
from tests.services.server import Server


class RedisServer(Server):
    """A Redis of our own, in memory only: a restart loses everything, as brokers do."""

    name = "redis"

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def flush(self) -> None:
        """Forget everything."""
        if self._ask("FLUSHALL") != "+OK":
            raise ServiceError("Redis did not flush.")

    def _ask(self, command: str) -> str:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection,
        ):
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(8192).decode(errors="replace").strip()
        return ""

    def _mark(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        # The process shows its address in its title, but only after reading its options; naming
        # it here as well lets the process be recognised from its first moment.
        return [
            find_program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--save", "", "--appendonly", "no", "--dir", str(self.folder),
            "--proc-title-template", f"redis-server 127.0.0.1:{self.port}",
        ]  # fmt: skip

    def _answers(self) -> bool:
        """Ask for the process id: another Redis may answer on the port we wanted."""
        return f"process_id:{self.pid}\r" in self._ask("INFO server")
