"""Bad input at the API's doors: a problem with its place, and nothing changed."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, Run
from core import clock
from governance.access import clear_credentials
from tests.factories.agents import make_agent, make_call, make_run, make_tenancy, say
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs

AGENTS = "/api/v1/workspaces/acme/agents"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"name": "a", "name": "b"}', "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b'{"name": "a\\u0000"}', "application/json", 400),
        (b"[" * 200 + b"]" * 200, "application/json", 400),
        (b'"text"', "application/json", 400),
        (b"name=a", "application/x-www-form-urlencoded", 415),
        (b"<a/>", "application/xml", 415),
        (b'{"name": "' + b"a" * 2_200_000 + b'"}', "application/json", 413),
        (b'{"name": "A B"}', "application/json", 400),
        (b'{"nam": "a"}', "application/json", 400),
        (b'{"name": ["a"]}', "application/json", 400),
        (b'{"name": "a", "spec": []}', "application/json", 400),
        (b'{"name": "a", "spec": {"promt": "x"}}', "application/json", 400),
        (b'{"name": "a", "spec": {"limits": {"max_iterations": "many"}}}', "application/json", 400),
    ],
)
def test_a_body_that_makes_no_sense_changes_nothing(
    cast: Cast, body: bytes, content_type: str, status: int
) -> None:
    client = Client(raise_request_exception=False)

    answer = client.post(
        AGENTS,
        body,
        content_type=content_type,
        headers={"Authorization": f"Bearer {cast.token('author')}"},
    )

    assert answer.status_code == status, answer.content[:300]
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert Agent.objects.count() == 0


def test_an_expired_token_opens_nothing(cast: Cast) -> None:
    secret = cast.token("author", expires_at=clock.now() + timedelta(minutes=1))
    clear_credentials()

    with clock.shifted(timedelta(minutes=2)):
        answer = Client().post(
            AGENTS,
            b'{"name": "a"}',
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )

    assert answer.status_code == 401
    assert answer.json()["code"] == "token_expired"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert Agent.objects.count() == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "agents/helper"),
        ("post", "agents/helper"),
        ("delete", "runs"),
        ("patch", "runs/{run}"),
        ("get", "runs/{run}/cancel"),
        ("delete", "tool-calls/{call}"),
    ],
)
def test_a_wrong_method_is_a_problem(cast: Cast, call_as: CallAs, method: str, path: str) -> None:
    run = make_run(cast.acme)
    call = make_call(run)

    answer = call_as("admin")(method, path.format(run=run.pk, call=call.pk), {})

    assert answer.status_code == 405
    assert answer["Content-Type"] == "application/problem+json"
    assert Run.objects.get().state == "queued"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=abc", "state=", "session=1", "created_after=no",
     "q=%00", "nothing=1"],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_a_problem(cast: Cast, call_as: CallAs, query: str) -> None:
    make_agent(cast.acme)

    answer = call_as("admin")("get", f"runs?{query}")

    assert answer.status_code == 400 or query == "state=", answer.content
    assert query == "state=" or answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    ["agents/%00", "agents/..%2f..", "agents/ghost", "runs/1", "agents/helper/versions/99999999999",
     "agents/%F0%9F%92%A5"],
)  # fmt: skip
def test_an_address_of_nothing_is_not_found(cast: Cast, call_as: CallAs, path: str) -> None:
    make_agent(cast.acme)

    assert call_as("admin")("get", path).status_code == 404


@pytest.mark.parametrize(
    "part",
    ["agents", "providers", "models", "routes", "tools", "sessions", "runs", "tool-calls",
     "agents/acme-agent/versions"],
)  # fmt: skip
def test_a_list_asks_the_same_number_of_questions_however_long_it_is(
    cast: Cast, call_as: CallAs, part: str
) -> None:
    make_tenancy(cast.acme, "acme")
    auditor = call_as("auditor")

    def asked() -> int:
        auditor("get", part)  # what is remembered for a moment is remembered now
        with CaptureQueriesContext(connection) as queries:
            assert auditor("get", part).status_code == 200
        return len(queries)

    before = asked()
    _more(cast)
    assert asked() == before
    assert before <= 9


def _more(cast: Cast) -> None:
    tenancy: Any = make_tenancy(cast.acme, "more")
    for number in range(3):
        run = make_run(cast.acme, tenancy.agent.name, text=f"n{number}")
        make_call(run)
        say(run, 0, "user", "hello")


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("2020-01-01T00:00:00-21:32", 200),  # PostgreSQL knows no such offset
        ("0337-02-17T16:27:04.8938-21:32", 200),
        ("2020-01-01T00:00:00", 200),
        ("0001-01-01T00:00:00+23:59", 400),  # in the year before the first
        ("9999-12-31T23:59:59-23:59", 400),
        ("yesterday", 400),
    ],
)
def test_a_moment_may_have_any_offset_and_must_be_in_range(
    cast: Cast, call_as: CallAs, moment: str, status: int
) -> None:
    make_run(cast.acme)
    operator = call_as("operator")

    for name in ("created_after", "created_before"):
        answer = operator("get", f"runs?{name}={quote(moment)}")
        assert answer.status_code == status, answer.json()
        assert status == 200 or name in answer.json()["errors"]
