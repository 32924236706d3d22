"""Failed attempts to get in are bounded, and nobody is locked out from where they are known."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from core import clock
from core.errors import LimitExceededError
from governance.guard import throttle
from governance.guard.throttle import sign_in_attempt, sign_in_succeeded
from tests.factories.governance import PASSWORD, issue, make_user, make_workspace

LIMIT = 3
HERE, THERE = "203.0.113.7", "198.51.100.9"


@pytest.fixture(autouse=True)
def _low_limit(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SIGN_IN_FAILURES = LIMIT
    now = clock.now().replace(minute=0, second=0, microsecond=0)  # a window begins
    monkeypatch.setattr(clock, "now", lambda: now)


@pytest.fixture(params=["in this process", "in Redis"])
def shared(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    """Where the counts are kept."""
    if request.param == "in Redis":
        address = request.getfixturevalue("redis_url")
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": address,
            }
        }
    yield
    cache.clear()


def sign_in(username: str, password: str = "wrong", address: str = HERE) -> Any:
    return Client(REMOTE_ADDR=address).post(
        reverse("admin:login"), {"username": username, "password": password}
    )


def fails(count: int, username: str, address: str = HERE) -> list[int]:
    return [sign_in(username, address=address).status_code for _ in range(count)]


@pytest.fixture
def ann(db: None) -> None:
    make_user("ann", is_staff=True)
    make_user("bob", is_staff=True)


def test_after_a_few_failures_an_account_is_refused_from_there(shared: None, ann: None) -> None:
    assert fails(LIMIT + 1, "ann") == [200] * LIMIT + [429]
    refused = sign_in(" ANN", PASSWORD)

    assert refused.status_code == 429
    assert refused["Retry-After"] == "900"
    page = refused.content.decode()
    assert "There were too many attempts to sign in. Try again in 15 minutes." in page
    assert sign_in("ann", PASSWORD, address=THERE).status_code == 302
    assert sign_in("bob", PASSWORD).status_code == 302


def test_the_right_password_forgives_what_went_before(shared: None, ann: None) -> None:
    fails(LIMIT - 1, "ann")
    assert sign_in("ann", PASSWORD).status_code == 302

    assert fails(LIMIT + 1, "ann") == [200] * LIMIT + [429]


def test_the_next_window_begins_anew(ann: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(LIMIT + 1, "ann")
    later = clock.now() + timedelta(seconds=throttle.WINDOW_SECONDS)
    monkeypatch.setattr(clock, "now", lambda: later)

    assert sign_in("ann", PASSWORD).status_code == 302


def test_one_address_that_tries_many_accounts_locks_out_no_one_who_is_known_there(
    shared: None, ann: None
) -> None:
    """Behind a proxy that is not named all people may have one address."""
    assert sign_in("ann", PASSWORD).status_code == 302
    tried = [sign_in(f"name-{number}").status_code for number in range(10 * LIMIT + 1)]

    assert tried == [200] * 10 * LIMIT + [429]
    assert sign_in("bob", PASSWORD).status_code == 429
    assert sign_in("ann", PASSWORD).status_code == 302
    assert sign_in("bob", PASSWORD, address=THERE).status_code == 302


def test_an_account_that_many_addresses_try_stays_open_where_it_is_known(
    shared: None, ann: None
) -> None:
    assert sign_in("ann", PASSWORD).status_code == 302
    tried = [
        sign_in("ann", address=f"198.51.100.{number}").status_code
        for number in range(10 * LIMIT + 1)
    ]

    assert tried == [200] * 10 * LIMIT + [429]
    assert sign_in("ann", PASSWORD, address=THERE).status_code == 429
    assert sign_in("ann", PASSWORD).status_code == 302


def test_one_customers_ipv6_addresses_are_one(ann: None) -> None:
    for number in range(LIMIT):
        assert sign_in("ann", address=f"2001:db8:1:2::{number:x}").status_code == 200

    assert sign_in("ann", address="2001:db8:1:2:ffff::9").status_code == 429
    assert sign_in("ann", address="2001:db8:1:3::1").status_code == 200
    assert sign_in("ann", address=f"::ffff:{HERE}").status_code == 200


def test_a_crowd_that_comes_at_once_does_not_slip_through(shared: None) -> None:
    barrier = threading.Barrier(40)
    passed: list[int] = []

    def attempt(number: int) -> None:
        barrier.wait(20)
        try:
            sign_in_attempt("ann", HERE)
            passed.append(number)
        except LimitExceededError:
            return
        finally:
            caches.close_all()

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(passed) == LIMIT


def test_an_address_that_sends_wrong_tokens_is_told_to_stop_and_valid_ones_work(
    shared: None, db: None
) -> None:
    workspace = make_workspace("acme")
    secret = issue(make_user("root", is_superuser=True)).secret
    address = f"/api/v1/workspaces/{workspace.name}/runs"

    def ask(token: str, place: str = HERE) -> Any:
        client = APIClient(REMOTE_ADDR=place)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client.get(address)

    refused = [ask(f"agk_{'x' * 40}{number}") for number in range(10 * LIMIT + 1)]

    assert [answer.status_code for answer in refused] == [401] * 10 * LIMIT + [429]
    assert refused[-1].json()["code"] == "limit_exceeded"
    assert refused[-1]["Retry-After"] == "900"
    assert "too many wrong tokens from your address" in refused[-1].json()["detail"]
    assert ask(secret).status_code == 200
    assert ask("agk_wrong", THERE).status_code == 401


def test_without_its_cache_the_site_still_lets_people_in(
    settings: Any, ann: None, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
        }
    }

    assert fails(LIMIT + 1, "ann") == [200] * (LIMIT + 1)
    assert sign_in("ann", PASSWORD).status_code == 302
    assert "sign_in_uncounted" in caplog.text


def test_account_names_stay_out_of_the_cache(shared: None) -> None:
    sign_in_attempt("ann@example.org", HERE)
    sign_in_succeeded("ann@example.org", HERE)

    assert all("ann" not in key for key in throttle._keys("ann@example.org", HERE))
