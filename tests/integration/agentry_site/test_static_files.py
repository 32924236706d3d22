"""Files of the console are read while they are sent, on either kind of server."""

from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, Client

ADDRESS = "/static/console/base.css"
CONTENT = Path(__file__).parents[3] / "static" / "console" / "base.css"


async def test_an_asgi_server_streams_a_file_asynchronously() -> None:
    answer: Any = await AsyncClient().get(ADDRESS)

    assert answer.is_async
    assert b"".join([piece async for piece in answer]) == CONTENT.read_bytes()
    assert answer["Content-Type"] == 'text/css; charset="utf-8"'
    answer.close()


async def test_what_did_not_change_is_not_sent_again() -> None:
    first: Any = await AsyncClient().get(ADDRESS)

    first.close()
    again: Any = await AsyncClient().get(ADDRESS, headers={"If-None-Match": first["ETag"]})

    assert again.status_code == 304


@pytest.mark.django_db  # what begins and ends a request looks after connections
def test_a_wsgi_server_gets_it_as_it_always_did() -> None:
    answer: Any = Client().get(ADDRESS)

    assert b"".join(answer.streaming_content) == CONTENT.read_bytes()
    answer.close()
