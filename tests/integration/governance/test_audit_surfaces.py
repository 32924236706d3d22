"""Who reads, signs and takes away a chain, through REST, the console and the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from typer.testing import CliRunner

from agentry.cli.main import app
from core.signing import signing_public_key
from governance.contracts import AuditAction
from governance.models import AuditCheckpoint, AuditEntry, User
from governance.services.tokens import token_revoke
from governance.services.users import user_create, user_update
from plugins.contracts import CallState
from plugins.services.calls import call_resolve
from tests.factories.agents import make_call, make_run
from tests.factories.governance import OTHER_PASSWORD, PASSWORD, Cast, make_workspace
from tests.integration.governance.audit_kit import append, check, entry, length

HERE = "203.0.113.7"


@pytest.fixture
def cast(cast: Cast) -> Cast:
    """A cast whose workspaces have chains."""
    for workspace in (cast.acme, cast.other):
        for number in range(4):
            append(workspace, f"begun {number}")
    return cast


def _site_entries(action: AuditAction) -> list[AuditEntry]:
    rows = AuditEntry.objects.filter(workspace=None, action=action.value)
    return list(rows.order_by("sequence"))


def _sign_in(username: str, password: str) -> Any:
    return Client(REMOTE_ADDR=HERE).post(
        reverse("admin:login"), {"username": username, "password": password}
    )


def test_signing_in_and_failing_to_are_recorded(cast: Cast, settings: Any) -> None:
    settings.SIGN_IN_FAILURES = 2
    assert _sign_in("root", PASSWORD).status_code == 302
    assert _sign_in("root", "wrong").status_code == 200
    assert _sign_in("viewer", PASSWORD).status_code == 200  # no staff: the console is closed
    assert _sign_in("my password, by mistake", "x").status_code == 200

    [signed_in] = _site_entries(AuditAction.SIGNED_IN)
    failed = _site_entries(AuditAction.SIGN_IN_FAILED)
    assert (signed_in.actor_name, signed_in.payload) == ("root", {"address": HERE})
    assert [row.subject_label for row in failed] == ["root", "viewer", "(no such account)"]
    assert {row.actor_name for row in failed} == {""}
    assert failed[0].subject_id == str(cast.users["root"].pk)
    assert "mistake" not in str([*AuditEntry.objects.values()])


def test_a_flood_of_attempts_adds_one_entry_beyond_those_looked_at(
    cast: Cast, settings: Any
) -> None:
    settings.SIGN_IN_FAILURES = 2
    statuses = [_sign_in("root", "wrong").status_code for _ in range(8)]

    assert statuses == [200, 200] + [429] * 6
    causes = [row.payload["cause"] for row in _site_entries(AuditAction.SIGN_IN_FAILED)]
    assert len(causes) == 3
    assert causes[-1] == "too many attempts; no more were looked at"


def test_a_flood_of_wrong_tokens_is_one_entry(cast: Cast, settings: Any) -> None:
    settings.SIGN_IN_FAILURES = 1
    for number in range(14):
        Client(REMOTE_ADDR=HERE).get(
            "/api/v1/me", headers={"authorization": f"Bearer agk_{'x' * 40}{number}"}
        )

    [row] = _site_entries(AuditAction.SIGN_IN_FAILED)
    assert (row.subject_kind, row.subject_id) == ("address", HERE)
    assert row.payload["cause"] == "10 wrong tokens; no more were looked at"


def test_tokens_are_recorded_where_they_hold(cast: Cast) -> None:
    bound = cast.stored(cast.token("viewer", workspace=cast.acme, scopes=["run.view"]))
    token_revoke(cast.actor("viewer"), token=bound)
    token_revoke(cast.actor("viewer"), token=bound)
    wide = cast.stored(cast.token("viewer"))

    rows = AuditEntry.objects.filter(workspace=cast.acme, subject_id=str(bound.pk))
    assert [row.action for row in rows.order_by("sequence")] == ["token_issued", "token_revoked"]
    assert rows[0].payload == {"owner": "viewer", "scopes": ["run.view"], "expires_at": None}
    assert AuditEntry.objects.get(subject_id=str(wide.pk)).workspace_id is None


def test_accounts_are_recorded_on_the_sites_chain(cast: Cast) -> None:
    user = user_create(cast.actor("root"), username="fresh", password=OTHER_PASSWORD)
    user_update(cast.actor("root"), user=user, email="f@example.org")
    user_update(cast.actor("root"), user=user, is_staff=True, password=PASSWORD)
    browser = Client()
    browser.force_login(cast.users["root"])
    page = reverse("admin:governance_user_change", args=[user.pk])
    browser.post(page, {"username": "fresh", "is_active": "on", "is_superuser": "on"})

    rows = AuditEntry.objects.filter(subject_id=str(user.pk)).order_by("sequence")
    assert [row.payload["is_password_new"] for row in rows] == [False, True, False]
    assert rows[0].payload["before"] is None
    assert rows[2].payload["after"] == {
        "is_active": True, "is_staff": False, "is_superuser": True, "is_service": False,
    }  # fmt: skip
    assert PASSWORD not in str([*rows.values()])


def test_settling_a_call_in_doubt_is_a_decision(cast: Cast) -> None:
    call = make_call(make_run(cast.acme), state=CallState.IN_DOUBT)
    call_resolve(actor=cast.actor("operator"), call_id=call.pk, outcome="failed", note="I looked.")

    found = entry(cast.acme, length(cast.acme))
    assert (found.action, found.actor_name) == ("decision", "operator")
    assert (found.subject_kind, found.subject_label) == ("tool_call", "charge")
    assert found.payload == {
        "outcome": "failed", "note": "I looked.", "run_id": str(call.run_id),
    }  # fmt: skip


def test_a_trace_that_is_taken_away_is_recorded(cast: Cast, call_as: Any) -> None:
    run = make_run(cast.acme)
    answer = call_as("operator")("get", f"workspaces/acme/runs/{run.pk}/trace")

    assert answer.status_code == 200
    found = entry(cast.acme, length(cast.acme))
    assert (found.action, found.subject_kind, found.subject_id) == (
        "exported", "trace", str(run.pk),
    )  # fmt: skip


# --- REST -----------------------------------------------------------------------------------------


def test_an_auditor_reads_the_chain_newest_first(cast: Cast, call_as: Any) -> None:
    append(cast.acme, "one")
    caller = call_as("auditor", workspace=cast.acme)
    first = caller("get", "workspaces/acme/audit?limit=2").json()
    second = caller("get", f"workspaces/acme/audit?cursor={first['next_cursor']}").json()

    sequences = [row["sequence"] for row in first["items"] + second["items"]]
    assert sequences == list(range(length(cast.acme), 0, -1))
    stored = entry(cast.acme, sequences[0])
    assert first["items"][0]["hash"] == stored.hash
    assert first["items"][0]["chain"] == str(cast.acme.pk)


@pytest.mark.parametrize("part", ["audit", "audit/checkpoints", "audit/export"])
def test_others_are_refused(cast: Cast, call_as: Any, part: str) -> None:
    before = AuditEntry.objects.filter(action="exported").count()
    for name, status in (("viewer", 403), ("operator", 403), ("outsider", 404), ("nobody", 404)):
        assert call_as(name)("get", f"workspaces/acme/{part}").status_code == status, name
    for name in ("admin", "auditor"):
        assert call_as(name)("get", part).status_code == 403, name
    assert call_as("root", workspace=cast.acme)("get", part).status_code == 403
    assert call_as("root")("get", part).status_code == 200
    assert AuditEntry.objects.filter(action="exported").count() == before + (part == "audit/export")


def test_what_is_exported_verifies_with_the_published_key(
    cast: Cast, call_as: Any, tmp_path: Path
) -> None:
    caller = call_as("auditor", workspace=cast.acme)
    answer = caller("get", "workspaces/acme/audit/export")
    file, key = tmp_path / "audit.jsonl", tmp_path / "key.pem"
    file.write_bytes(b"".join(answer.streaming_content))
    key.write_text(caller("get", "audit/key").json()["public_key"])

    assert answer["Content-Type"] == "application/x-ndjson"
    done = CliRunner().invoke(app, ["audit", "verify", str(file), "--key", str(key)])
    assert done.exit_code == 0, done.output
    last = length(cast.acme)
    assert done.stdout == (
        f"The chain of workspace acme holds: entries 1 to {last}; checkpoints sign them up to "
        f"{last}.\n"
    )
    assert entry(cast.acme, last).action == "exported"
    assert entry(cast.acme, last).actor_name == "auditor"
    wrong = caller("get", "workspaces/acme/audit/export?since=2026-01-02T00:00:00Z"
                          "&until=2026-01-01T00:00:00Z")  # fmt: skip
    assert wrong.status_code == 400
    assert length(cast.acme) == last


def test_a_broken_chain_can_still_be_taken_away(
    cast: Cast, call_as: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    AuditEntry.objects.filter(workspace=cast.acme, sequence=2).update(actor_name="x")
    caller = call_as("auditor", workspace=cast.acme)
    answer = caller("get", "workspaces/acme/audit/export")
    (tmp_path / "a.jsonl").write_bytes(b"".join(answer.streaming_content))
    (tmp_path / "k.pem").write_text(signing_public_key())
    signed = caller("post", "workspaces/acme/audit/checkpoints", {})

    assert (signed.status_code, signed.json()["code"]) == (409, "audit_broken")
    done = CliRunner().invoke(
        app,
        ["audit", "verify", str(tmp_path / "a.jsonl"), "--key", str(tmp_path / "k.pem"), "-ojson"],
    )
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "holds": False, "entry": 2, "line": 3, "what": "it was changed after it was written",
    }  # fmt: skip


def test_a_checkpoint_is_signed_on_demand(cast: Cast, call_as: Any) -> None:
    caller = call_as("auditor", workspace=cast.acme)
    made = caller("post", "workspaces/acme/audit/checkpoints", {})
    again = caller("post", "workspaces/acme/audit/checkpoints", {})

    assert made.status_code == 201
    assert made.json() == again.json()
    assert made.json()["sequence"] == length(cast.acme)
    listed = caller("get", "workspaces/acme/audit/checkpoints").json()["items"]
    assert listed == [made.json()]
    assert call_as("viewer")("post", "workspaces/acme/audit/checkpoints", {}).status_code == 403
    assert AuditCheckpoint.objects.filter(workspace=cast.acme).count() == 1


# --- the console ----------------------------------------------------------------------------------


def test_the_console_shows_chains_and_changes_nothing(cast: Cast, call_as: Any) -> None:
    append(cast.acme, "for the auditor")
    append(cast.other, "for the outsider")
    append(None, "for the superuser")
    call_as("auditor")("post", "workspaces/acme/audit/checkpoints", {})
    seen = {}
    browser = Client()
    for name in ("auditor", "outsider", "root"):
        User.objects.filter(username=name).update(is_staff=True)
        browser.force_login(cast.users[name])
        page = browser.get(reverse("admin:governance_auditentry_changelist")).content.decode()
        seen[name] = [
            who for who in ("auditor", "outsider", "superuser") if f"for the {who}" in page
        ]
    assert seen == {
        "auditor": ["auditor"], "outsider": ["outsider"],
        "root": ["auditor", "outsider", "superuser"],
    }  # fmt: skip
    found = AuditEntry.objects.get(subject_label="for the superuser")
    page = reverse("admin:governance_auditentry_change", args=[found.pk])
    assert found.hash in browser.get(page).content.decode()
    assert browser.post(page, {"sequence": 7}).status_code == 403
    assert browser.get(reverse("admin:governance_auditentry_add")).status_code == 403
    signed = AuditCheckpoint.objects.get()
    page = reverse("admin:governance_auditcheckpoint_change", args=[signed.pk])
    assert signed.signature in browser.get(page).content.decode()
    assert check(None).entries == AuditEntry.objects.filter(workspace=None).count()


# --- the site's own command -----------------------------------------------------------------------


def test_the_sites_command_checks_every_chain(
    cast: Cast, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    make_workspace("empty")
    call_command("audit", "checkpoint", "--workspace", "acme")
    call_command("audit", "verify")
    told = capsysbinary.readouterr().out.decode().splitlines()
    assert told[0] == f"acme: signed up to {length(cast.acme)}."
    assert {line.split(":")[0] for line in told[1:]} == {"site", "acme", "other", "empty"}
    call_command("audit", "export", "--site")
    assert check(None, capsysbinary.readouterr().out.splitlines(keepends=True)).last > 0
    call_command("audit", "key")
    assert capsysbinary.readouterr().out.decode().strip() == signing_public_key().strip()
    with pytest.raises(CommandError, match="one chain"):
        call_command("audit", "export")
    with pytest.raises(CommandError, match="no workspace 'nowhere'"):
        call_command("audit", "verify", "--workspace", "nowhere")
