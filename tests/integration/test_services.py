"""The private servers that tests and developers start: what chaos tests rely on."""

import os
import socket
from pathlib import Path

import psycopg
import pytest
import redis

from tests.services import PostgresServer, RedisServer, ServiceError, find_program, reachable_folder


@pytest.mark.sqlite
def test_a_killed_postgres_comes_back_with_what_was_committed(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('here')")
    before = postgres_server.pid

    postgres_server.kill()
    killed = postgres_server.pid
    postgres_server.start()

    assert killed is None
    assert postgres_server.pid not in {None, before}
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("here",)]


@pytest.mark.sqlite
def test_a_restarted_postgres_keeps_its_address(postgres_server: PostgresServer) -> None:
    before = postgres_server.url()

    postgres_server.restart()

    assert postgres_server.url() == before
    assert postgres_server.has_database("postgres")


@pytest.mark.sqlite
def test_a_flushed_redis_forgets_and_a_restarted_one_too(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url())
    client.set("key", "value")
    redis_server.flush()
    assert client.get("key") is None

    client.set("key", "value")
    before = redis_server.url()
    redis_server.restart()

    assert redis_server.url() == before
    assert client.get("key") is None
    client.close()


@pytest.mark.sqlite
def test_a_suspended_redis_answers_again_when_it_goes_on(redis_server: RedisServer) -> None:
    redis_server.suspend()
    try:
        address = ("127.0.0.1", redis_server.port)
        with socket.create_connection(address, timeout=0.2) as connection:
            connection.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(10)
    finally:
        redis_server.resume()

    redis_server.flush()


@pytest.mark.sqlite
def test_two_servers_started_at_once_do_not_meet(tmp_path: Path) -> None:
    first, second = RedisServer(tmp_path / "a"), RedisServer(tmp_path / "b")
    first.start()
    second.start()
    try:
        assert first.port != second.port
        assert first.pid != second.pid
    finally:
        first.stop()
        second.stop()


@pytest.mark.sqlite
def test_a_stale_process_id_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.pid_file.write_text(str(os.getpid()))

    server.kill()

    assert server.pid is None  # and this process is still here to say so


@pytest.mark.sqlite
def test_a_taken_port_is_exchanged_for_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = RedisServer(tmp_path, port=port)
        server.start()
        try:
            assert server.port != port
            server.flush()
        finally:
            server.stop()


@pytest.mark.sqlite
def test_a_missing_program_says_how_to_get_it() -> None:
    with pytest.raises(ServiceError, match=r"nothing-so-named is not installed\. Run: scripts/"):
        find_program("nothing-so-named")


@pytest.mark.sqlite
def test_a_folder_the_servers_can_enter_is_used_as_it_is(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = Path(os.environ["AGENTRY_DATA_DIR"]).parent / "reachable"
    folder.mkdir(mode=0o711)

    assert reachable_folder(folder) == folder
