"""`agentry channels` as people use it: a real server posts to a real receiver."""

import json
from collections.abc import Iterator

import pytest
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner, Result

from agentry.cli.main import app
from tests.e2e.client.server import SiteProcess
from tests.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def variables(
    receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment of somebody who is signed in to a site that may post to the receiver."""
    site = SiteProcess(tmp_path_factory.mktemp("site"), AGENTRY_FETCH_ALLOW=receiver.place)
    site.start()
    yield {
        "AGENTRY_CONFIG_DIR": str(tmp_path_factory.mktemp("login")),
        "AGENTRY_URL": site.url,
        "AGENTRY_TOKEN": site.token,
        "AGENTRY_WORKSPACE": "demo",
    }
    site.stop()


def test_a_channel_is_made_tried_mended_and_deleted(
    receiver: Receiver, variables: dict[str, str]
) -> None:
    def agentry(*words: str, stdin: str = "") -> Result:
        return CliRunner(env=variables).invoke(app, ["channels", *words], input=stdin)

    made = agentry(
        "add", "ops", "--kind", "webhook", "--to-url", f"http://{receiver.place}/in",
        "--event", "approval.asked",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert secret not in agentry("show", "ops", "-o", "json").stdout

    reached = agentry("test", "ops")
    receiver.status = 503
    refused = agentry("test", "ops")
    receiver.status = 204
    (failed,) = [
        row
        for row in json.loads(agentry("deliveries", "ops", "-o", "json").stdout)
        if row["last_error"]
    ]
    busy = agentry("redeliver", failed["id"])
    twice = agentry("add", "ops", "--kind", "webhook", "--to-url", f"http://{receiver.place}/in")
    kept = agentry("rm", "ops", stdin="n\n")
    removed = agentry("rm", "ops", "--yes")

    assert (reached.exit_code, "got through" in reached.stdout) == (0, True), reached.output
    assert (refused.exit_code, "answered 503" in refused.stdout) == (1, True), refused.output
    first, second = (Webhook(secret).verify(body, headers) for headers, body in receiver.seen)
    assert (first["type"], second["type"]) == ("channel.test", "channel.test")
    assert (busy.exit_code, "on its way already" in busy.stderr) == (5, True)
    assert (twice.exit_code, "already" in twice.stderr) == (5, True)
    assert (kept.exit_code, removed.exit_code) == (2, 0)
    assert agentry("show", "ops").exit_code == 4
