"""Private PostgreSQL, Redis and Docker servers: started where nobody is, stopped by process id.

Used by `scripts/services` at the keyboard and by the test fixtures. Only the standard library, so
that it works before anything is installed. Nothing here touches a server it did not start: a
process id from a file is believed only when that process still carries our folder or port.
"""

from tests.services.docker import DockerServer
from tests.services.postgres import USER, PostgresServer
from tests.services.programs import ServiceError, find_program, reachable_folder
from tests.services.redis import RedisServer
from tests.services.server import Server, free_port

__all__ = [
    "USER",
    "DockerServer",
    "PostgresServer",
    "RedisServer",
    "Server",
    "ServiceError",
    "find_program",
    "free_port",
    "reachable_folder",
]
