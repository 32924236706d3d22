"""Finding messages of channels over REST."""

import pytest

from governance.access import actor_of_user
from governance.models import Delivery
from governance.services.channels import channel_create
from governance.services.deliveries import channel_test
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"one", "other"}),
        ("?channel=one", {"one"}),
        ("?state=failed", {"other"}),
        ("?channel=one&state=failed", set()),
        ("?state=failed&state=pending", {"one", "other"}),
    ],
)
def test_deliveries_are_found_by_channel_and_state(
    cast: Cast, call_as: CallAs, query: str, found: set[str]
) -> None:
    admin = actor_of_user(cast.users["admin"])
    for name in ("one", "other"):
        made = channel_create(admin, workspace=cast.acme, name=name, kind="email")
        channel_test(admin, channel=made.channel)
    Delivery.objects.filter(channel__name="other").update(state="failed")

    answer = call_as("admin")("get", f"deliveries{query}")

    assert {row["channel"] for row in answer.json()["items"]} == found


def test_a_state_there_is_not_is_refused(cast: Cast, call_as: CallAs) -> None:
    answer = call_as("admin")("get", "deliveries?state=lost")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
