"""The page of profiles: who may open it, asking for one, and what each outcome looks like."""

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core import clock
from core.ids import new_id
from observability.models import Process, Profile, SlowCallback
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

STACKS = (
    "thread (1): MainThread;serve (agentry_site/serving.py:3);read (ssl.py:9) 30\n"
    "thread (2): engine;drive (agents/execution/driver.py:7) 70\n"
)


def process(**more: Any) -> Process:
    now = clock.now()
    values = {"kind": "worker", "host": "h1", "pid": 7, "started_at": now, "seen_at": now}
    return Process.objects.create(**values | more)


def profile(**more: Any) -> Profile:
    values = {
        "process_id": new_id(), "process": "worker h1:7", "seconds": 5, "rate": 100,
        "requested_by": "root", "requested_at": clock.now(),
    }  # fmt: skip
    return Profile.objects.create(**values | more)


def done(**more: Any) -> Profile:
    return profile(
        state="done", finished_at=clock.now(), samples=100, stacks=gzip.compress(STACKS.encode()),
        **more,
    )  # fmt: skip


ADDRESSES = ("profiles", "profiles_live", "profiles_one", "profiles_stacks", "profiles_speedscope")


@pytest.mark.parametrize("who", ["admin", "operator", "viewer"])
def test_nobody_but_a_superuser_sees_or_asks_for_anything(
    cast: Cast, browse: Browser, who: str
) -> None:
    row, there = done(), process()
    client = browse(who)

    for name in ADDRESSES:
        args = [] if name in {"profiles", "profiles_live"} else [row.pk]
        assert client.get(reverse(f"admin:{name}", args=args)).status_code == 403, name
    asked = client.post(reverse("admin:profiles_start"), {"process": str(there.pk), "seconds": "5"})
    removed = client.post(reverse("admin:profiles_delete", args=[row.pk]))

    assert (asked.status_code, removed.status_code) == (403, 403)
    assert list(Profile.objects.values_list("pk", flat=True)) == [row.pk]
    assert reverse("admin:profiles") not in client.get(reverse("admin:index")).content.decode()


def test_nobody_unknown_gets_further_than_signing_in(cast: Cast) -> None:
    for name in ("profiles", "profiles_live"):
        assert "/login/" in Client().get(reverse(f"admin:{name}"))["Location"]


def test_a_profile_is_asked_for_by_a_row_that_the_process_will_see(
    cast: Cast, browse: Browser
) -> None:
    there = process()

    answer = browse("root").post(
        reverse("admin:profiles_start"),
        {"process": str(there.pk), "seconds": "10", "with_idle": "on"},
    )

    row = Profile.objects.get()
    assert answer["Location"] == reverse("admin:profiles_one", args=[row.pk])
    assert (row.process_id, row.process, row.seconds) == (there.pk, "worker h1:7", 10)
    assert (row.state, row.with_idle, row.requested_by) == ("requested", True, "root")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"process": "x", "seconds": "5"}, "Choose a process"),
        ({"seconds": "five"}, "Choose a process"),
        ({"seconds": "61"}, "Profile for 1 to 60 seconds."),
        ({"seconds": "0"}, "Profile for 1 to 60 seconds."),
        ({"process": str(new_id()), "seconds": "5"}, "has not been heard of lately"),
    ],
)
def test_what_cannot_be_profiled_is_said(
    cast: Cast, browse: Browser, given: dict[str, str], sentence: str
) -> None:
    there = process()

    page = browse("root").post(
        reverse("admin:profiles_start"), {"process": str(there.pk)} | given, follow=True
    )

    assert sentence in page.content.decode()
    assert not Profile.objects.exists()


def test_the_page_tells_processes_profiles_and_slow_callbacks(cast: Cast, browse: Browser) -> None:
    there = process(lag_seconds=0.0021, lag_p99_seconds=0.25)
    process(pid=8, seen_at=clock.now() - timedelta(seconds=60))
    SlowCallback.objects.create(
        process_id=there.pk, process=str(there), at=clock.now(), seconds=0.31,
        where="agents.tools.points:<script>:7", stack=["agents.tools.points:slow:7"],
    )  # fmt: skip
    done()
    profile(state="failed", finished_at=clock.now(), problem="No.", remedy="Do.")

    page = browse("root").get(reverse("admin:profiles")).content.decode()

    assert page.count('class="pill is-alive"') == page.count('class="pill is-silent"') == 1
    assert "2.1 ms" in page
    assert '<td class="number is-late" data-label="Lag p99">250.0 ms' in page
    assert "agents.tools.points:&lt;script&gt;:7" in page
    assert page.count('class="pill is-succeeded"') == 1
    assert '<span class="help">No.</span>' in page
    assert f'<option value="{there.pk}"' in page


def test_empty_pages_say_what_will_be_there(cast: Cast, browse: Browser) -> None:
    page = browse("root").get(reverse("admin:profiles")).content.decode()

    for sentence in ("No process has reported", "No profile has been taken", "Nothing has held"):
        assert sentence in page
    assert "Start profiling" not in page


def test_a_profile_that_came_to_nothing_says_why_and_what_to_do(
    cast: Cast, browse: Browser
) -> None:
    row = profile(state="failed", finished_at=clock.now(), problem="Refused.", remedy="Allow it.")

    page = browse("root").get(reverse("admin:profiles_one", args=[row.pk])).content.decode()

    assert "<strong>Refused.</strong> Allow it." in page
    assert 'id="flame"' not in page
    assert browse("root").get(reverse("admin:profiles_stacks", args=[row.pk])).status_code == 404


@pytest.mark.parametrize(("samples", "told"), [(1, "1 sample "), (12_345, "12.3k samples ")])
def test_the_page_of_a_profile_says_how_many_samples_it_has(
    cast: Cast, browse: Browser, samples: int, told: str
) -> None:
    row = done()
    Profile.objects.filter(pk=row.pk).update(samples=samples)

    page = browse("root").get(reverse("admin:profiles_one", args=[row.pk]))

    assert page.status_code == 200
    assert f"5 seconds, {told}" in page.content.decode()


def test_a_profile_can_be_taken_away_in_two_forms_and_removed(cast: Cast, browse: Browser) -> None:
    row, client = done(), browse("root")

    stacks = client.get(reverse("admin:profiles_stacks", args=[row.pk]))
    speedscope = json.loads(client.get(reverse("admin:profiles_speedscope", args=[row.pk])).content)
    removed = client.post(reverse("admin:profiles_delete", args=[row.pk]))

    assert stacks.content.decode() == STACKS
    assert stacks["Content-Disposition"] == f'attachment; filename="profile-{row.pk}.txt"'
    assert [each["name"] for each in speedscope["profiles"]] == [
        "thread (1): MainThread", "thread (2): engine",
    ]  # fmt: skip
    frames = [frame["name"] for frame in speedscope["shared"]["frames"]]
    assert frames[speedscope["profiles"][1]["samples"][0][0]].startswith("drive (agents/")
    assert [each["weights"] for each in speedscope["profiles"]] == [[0.3], [0.7]]
    assert removed["Location"] == reverse("admin:profiles")
    assert client.get(reverse("admin:profiles_one", args=[row.pk])).status_code == 404
