"""A process redacts the secrets of a workspace whose text it takes, opened here or not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agents.models import Provider
from agents.services.providers import provider_update
from core.redaction import known_secrets, redact_text
from governance.contracts import SYSTEM
from governance.models import AuditEntry, Channel, Secret, Workspace
from governance.registry import sealed_columns
from governance.secrets.places import places_parse
from governance.services import known_secrets as learning
from governance.services.channels import channel_update
from governance.services.known_secrets import secrets_learn
from governance.services.secrets import secret_delete, secret_rotate, secret_set
from tests.factories.agents import make_channel, make_provider, make_secret
from tests.factories.governance import make_workspace
from tests.processes import a_new_process, elsewhere

VALUE = "an unremarkable sentence"
OTHER = "another plain sentence"


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    with a_new_process():
        yield


def shown(text: str) -> str:
    return redact_text(f"It is {text}.")


def test_what_another_process_stored_is_redacted_once_it_is_learned(workspace: Workspace) -> None:
    make_secret(workspace, "plain", VALUE)
    with a_new_process():
        before = shown(VALUE)
        secrets_learn([workspace.pk])

        assert (before, shown(VALUE)) == (f"It is {VALUE}.", "It is [redacted].")
        assert shown(VALUE.encode().hex()) == "It is [redacted]."
    assert not AuditEntry.objects.filter(action="secret_used").exists()
    assert Secret.objects.get().used_at is None


def test_where_nothing_has_changed_it_asks_one_query_for_all(workspace: Workspace) -> None:
    other = make_workspace("other")
    for each in (workspace, other):
        make_secret(each, "plain", VALUE)
    both = [workspace.pk, other.pk]

    with CaptureQueriesContext(connection) as first:
        secrets_learn(both)
    with CaptureQueriesContext(connection) as again:
        secrets_learn(both)
    with CaptureQueriesContext(connection) as of_nothing:
        secrets_learn([])

    assert len(first) == 1 + 2 * len(sealed_columns())
    assert (len(again), len(of_nothing)) == (1, 0)


def _secret(workspace: Workspace, value: str) -> None:
    secret_set(SYSTEM, workspace=workspace, name="plain", value=value)


def _provider(workspace: Workspace, value: str) -> None:
    row = Provider.objects.filter(workspace=workspace).first()
    if row is None:
        make_provider(workspace, "vendor", kind="openai", api_key=value)
    else:
        provider_update(actor=SYSTEM, provider=row, api_key=value)


def _channel(workspace: Workspace, value: str) -> None:
    row = Channel.objects.filter(workspace=workspace).first()
    if row is None:
        make_channel(workspace, "news", kind="slack", secret=value)
    else:
        channel_update(SYSTEM, channel=row, secret=value)


WRITERS: dict[str, Callable[[Workspace, str], None]] = {
    "governance.Secret.sealed_value": _secret,
    "agents.Provider.sealed_key": _provider,
    "governance.Channel.sealed_secret": _channel,
}


def test_every_sealed_column_is_tried() -> None:
    assert {column.label for column in sealed_columns()} == WRITERS.keys()


@pytest.mark.parametrize("label", WRITERS)
def test_whatever_is_sealed_is_learned_and_learned_again_when_it_changes(
    workspace: Workspace, label: str
) -> None:
    found = []
    for value in (VALUE, OTHER):
        with elsewhere():
            WRITERS[label](workspace, value)
        before = shown(value)
        secrets_learn([workspace.pk])
        found.append((before, shown(value)))

    assert found == [(f"It is {each}.", "It is [redacted].") for each in (VALUE, OTHER)]
    assert shown(VALUE) == "It is [redacted].", "what it was is still a secret to somebody"


def test_a_rotated_and_a_deleted_value_stay_redacted(workspace: Workspace) -> None:
    with elsewhere():
        row = make_secret(workspace, "plain", VALUE)
    secrets_learn([workspace.pk])
    with elsewhere():
        secret_rotate(SYSTEM, secret=row, value=OTHER)
    secrets_learn([workspace.pk])
    after = shown(VALUE), shown(OTHER)
    secret_delete(SYSTEM, secret=row)
    secrets_learn([workspace.pk])

    assert after == ("It is [redacted].", "It is [redacted].")
    assert shown(OTHER) == "It is [redacted]."


def test_a_change_that_was_rolled_back_hides_no_later_one(workspace: Workspace) -> None:
    with elsewhere(), transaction.atomic():
        secret_set(SYSTEM, workspace=workspace, name="plain", value=VALUE)
        secrets_learn([workspace.pk])
        transaction.set_rollback(True)
    assert not Secret.objects.exists()
    with elsewhere():
        secret_set(SYSTEM, workspace=workspace, name="plain", value=OTHER)
    secrets_learn([workspace.pk])

    assert shown(OTHER) == "It is [redacted]."


def test_a_value_that_does_not_open_hides_no_other_one(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with elsewhere():
        make_secret(workspace, "broken", VALUE)
        make_secret(workspace, "plain", OTHER)
    Secret.objects.filter(name="broken").update(name="moved")  # it opens under its own name only

    secrets_learn([workspace.pk])
    secrets_learn([workspace.pk])

    assert shown(OTHER) == "It is [redacted]."
    (record,) = [each for each in caplog.records if each.message == "secret_not_learned"]
    assert "does not open" in record.__dict__["error"]


def test_a_provider_that_refers_to_a_secret_makes_no_secret_of_the_reference(
    workspace: Workspace,
) -> None:
    with elsewhere():
        make_secret(workspace, "plain", VALUE)
        make_provider(workspace, "p", kind="openai", api_key="${secret:plain}")

    secrets_learn([workspace.pk])

    assert shown("${secret:plain}") == "It is ${secret:plain}."
    assert shown(VALUE) == "It is [redacted]."


def test_what_the_site_itself_has_is_learned_and_a_vault_is_not_asked(
    workspace: Workspace, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECRET_PLACES = places_parse(
        ["acme/one=env:PLAIN", "*/two=file:two", "*/gone=file:gone", "acme/far=vault:kv/far#x"]
    )
    settings.SECRETS_DIR = str(tmp_path)
    (tmp_path / "two").write_text(f"{OTHER}\n")
    monkeypatch.setenv("AGENTRY_SECRET_PLAIN", VALUE)
    monkeypatch.setattr(
        "governance.secrets.vault.VaultSource.read", lambda *_: pytest.fail("it was asked")
    )

    secrets_learn([workspace.pk])
    (tmp_path / "two").write_text("a third sentence")
    secrets_learn([workspace.pk])
    before = shown("a third sentence")
    monkeypatch.setattr(learning, "OUTSIDE_SECONDS", 0.0)
    secrets_learn([workspace.pk])

    assert before == "It is a third sentence."
    redacted = ["It is [redacted]."] * 3
    assert [shown(each) for each in (VALUE, OTHER, "a third sentence")] == redacted


def test_of_very_many_workspaces_the_least_recent_is_learned_anew(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "MAX_WORKSPACES", 1)
    other = make_workspace("other")
    with elsewhere():
        make_secret(workspace, "plain", VALUE)
        make_secret(other, "plain", OTHER)
        for each in (workspace, other, workspace):
            secrets_learn([each.pk])

    assert list(learning._learned) == [workspace.pk]
    assert (shown(VALUE), list(known_secrets._held)) == ("It is [redacted].", [workspace.pk])
