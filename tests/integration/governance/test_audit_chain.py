"""The audit chain: dense, ordered, redacted, signed, and closed to changes."""

import base64
import hashlib
import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.db import DatabaseError, connection, transaction

from core import clock
from core.redaction import known_secrets
from core.signing import signing_key_id, signing_public_key
from governance.contracts import BUILTIN_ROLES, AuditAction, AuditSubject, Perm
from governance.execution import checkpoint_write, checkpoints_write_due
from governance.models import AuditCheckpoint, AuditEntry, AuditHead, Workspace
from governance.models.append_only import append_only_install, append_only_remove
from governance.services.audit import audit_append
from governance.services.members import member_add
from governance.tasks import checkpoint
from tests.factories.governance import Cast, make_user, make_workspace
from tests.integration.governance.audit_kit import append, check, entry, fill, length


def test_entries_follow_one_another_in_each_chain(cast: Cast) -> None:
    before = length(cast.acme)
    append(cast.acme, "one")
    append(cast.other, "elsewhere")
    append(None, "of the site")
    append(cast.acme, "two")

    one, two = entry(cast.acme, before + 1), entry(cast.acme, before + 2)
    assert (one.subject_label, two.subject_label) == ("one", "two")
    assert two.previous_hash == one.hash
    assert AuditHead.objects.get(pk=cast.acme.pk).hash == two.hash
    for chain in (cast.acme, cast.other, None):
        assert check(chain).entries > 0


def test_the_hash_is_what_the_description_says(cast: Cast) -> None:
    """Computed here from the words of docs/operate/audit.md, with nothing of ours."""
    found = append(cast.acme, "Zoë", note="a\tb", ratio=0.5, count=3, nested={"b": [1], "a": None})
    text = json.dumps(
        {
            "id": str(found.pk), "format": 1, "chain": str(cast.acme.pk),
            "sequence": found.sequence, "at": found.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "actor": {"id": None, "name": "system", "token": None}, "action": "decision",
            "subject": {"kind": "test", "id": "1", "label": "Zoë"},
            "payload": {
                "note": "a\tb", "ratio": "0.5", "count": 3, "nested": {"a": None, "b": [1]},
            },
            "previous_hash": found.previous_hash,
        },
        sort_keys=True, separators=(",", ":"), ensure_ascii=False,
    )  # fmt: skip

    assert found.hash == hashlib.sha256(text.encode()).hexdigest()
    assert entry(cast.acme, found.sequence).hash == found.hash


def test_a_chains_time_never_goes_back(cast: Cast) -> None:
    first = append(cast.acme, "now")
    with clock.shifted(-timedelta(hours=1)):
        second = append(cast.acme, "an hour ago")

    assert second.at == first.at
    assert check(cast.acme).last == second.sequence


def test_an_entry_is_there_only_with_what_it_tells_of(cast: Cast) -> None:
    before = length(cast.acme)
    with transaction.atomic():
        append(cast.acme, "undone")
        transaction.set_rollback(True)
    append(cast.acme, "done")

    assert entry(cast.acme, before + 1).subject_label == "done"


def test_secrets_do_not_enter_a_chain(cast: Cast) -> None:
    known_secrets.add("pineapple-42")
    try:
        found = append(
            cast.acme,
            "of pineapple-42",
            note="It is pineapple-42.",
            password="hunter2",
            key="sk-abcdefghijklmnopqrstuvwxyz",
        )
    finally:
        known_secrets.remove("pineapple-42")

    assert found.subject_label == "of [redacted]"
    assert found.payload == {
        "note": "It is [redacted].", "password": "[redacted]", "key": "[redacted]",
    }  # fmt: skip


def test_what_cannot_be_redacted_is_withheld(cast: Cast) -> None:
    found = append(cast.acme, "odd", thing=object())

    assert found.payload == {"withheld": "[withheld: redaction failed]"}


def test_long_and_odd_texts_fit(cast: Cast) -> None:
    found = audit_append(
        cast.actor("admin"),
        action=AuditAction.EFFECT,
        workspace_id=cast.acme.pk,
        subject=AuditSubject(kind="x" * 500, id="\x00" * 500, label="\ud800" + "é" * 500),
        payload={"\ud800": "\x00", "big": 2**80},
    )

    assert len(found.subject_label) == 200
    assert check(cast.acme).last == found.sequence


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_hundred_at_once_make_one_dense_chain() -> None:
    workspace = make_workspace("busy")
    before = length(workspace)
    barrier = threading.Barrier(100)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait(60)
            with transaction.atomic():
                append(workspace, f"thread {number}")
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    sequences = [*AuditEntry.objects.filter(workspace=workspace).values_list("sequence", flat=True)]
    assert sorted(sequences) == list(range(1, before + 101))
    assert check(workspace).entries == before + 100


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_first_entries_of_a_chain_may_come_at_once() -> None:
    workspace = Workspace.objects.create(name="new")
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait(60)
        append(workspace, "first?")
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert check(workspace).entries == 8


@pytest.mark.parametrize("model", [AuditEntry, AuditCheckpoint])
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_the_database_itself_refuses_changes(cast: Cast, model: Any, verb: str) -> None:
    fill(cast.acme, upto=length(cast.acme) + 1)
    checkpoint_write(cast.acme.pk)
    table = model._meta.db_table
    statement = f"UPDATE {table} SET hash = 'x'" if verb == "update" else f"DELETE FROM {table}"
    # On SQLite a schema editor wants no transaction around it; these statements do not mind one.
    editor = _Editor()
    append_only_install(editor)  # type: ignore[arg-type]  # what it uses of an editor
    try:
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
        append(cast.acme, "still open to new ones")
    finally:
        append_only_remove(editor)  # type: ignore[arg-type]  # as above
    assert check(cast.acme).entries == length(cast.acme)


class _Editor:
    """Runs statements in the test's own transaction."""

    connection = connection

    def execute(self, statement: str, params: Any = ()) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, params)


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_is_signed_with_the_published_key(cast: Cast) -> None:
    fill(cast.acme, upto=length(cast.acme) + 3)
    signed = checkpoint_write(cast.acme.pk)
    document = {
        "at": signed.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "chain": str(cast.acme.pk),
        "format": 1, "hash": entry(cast.acme, signed.sequence).hash, "key_id": signing_key_id(),
        "sequence": length(cast.acme),
    }  # fmt: skip
    pem = signing_public_key()
    key: Any = load_pem_public_key(pem.encode())
    key.verify(
        bytes.fromhex(signed.signature),
        json.dumps(document, sort_keys=True, separators=(",", ":")).encode(),
    )
    raw = base64.b64decode("".join(pem.splitlines()[1:-1]))[-32:]
    assert hashlib.sha256(raw).hexdigest()[:16] == signed.key_id


def test_signing_again_without_news_gives_the_same_signature(cast: Cast) -> None:
    first = checkpoint_write(cast.acme.pk)

    assert checkpoint_write(cast.acme.pk).pk == first.pk
    assert checkpoint_write(None).sequence == AuditHead.objects.get(pk="0" * 32).sequence
    append(cast.acme, "news")
    assert checkpoint_write(cast.acme.pk).sequence == first.sequence + 1


def test_beat_signs_what_has_waited_or_grown(cast: Cast, settings: Any) -> None:
    checkpoints_write_due()
    settings.AUDIT_CHECKPOINT_ENTRIES, settings.AUDIT_CHECKPOINT_MINUTES = 1_000_000, 10
    with clock.shifted(timedelta(hours=1)):
        checkpoints_write_due()  # everything there is
    append(cast.acme, "news")
    signed = AuditCheckpoint.objects.count()

    with clock.shifted(timedelta(minutes=9)):
        assert checkpoints_write_due() == 0
    with clock.shifted(timedelta(minutes=11)):
        checkpoint()
    assert AuditCheckpoint.objects.count() == signed + 1

    settings.AUDIT_CHECKPOINT_ENTRIES = 2
    append(cast.acme, "one")
    assert checkpoints_write_due() == 0
    append(cast.acme, "two")
    assert checkpoints_write_due() == 1


def test_changes_of_access_are_in_the_chain_with_who_made_them(cast: Cast) -> None:
    make_user("newcomer")
    scopes = [perm.value for perm in BUILTIN_ROLES["viewer"] | {Perm.WORKSPACE_MANAGE}]
    actor = cast.narrowed("admin", scopes=scopes)
    member_add(actor, workspace=cast.acme, username="newcomer", roles=["viewer"])

    found = entry(cast.acme, length(cast.acme))
    assert (found.action, found.actor_name, found.actor_id) == (
        "permission_changed", "admin", cast.users["admin"].pk,
    )  # fmt: skip
    assert found.token_id == actor.token_id
    assert (found.subject_kind, found.subject_label) == ("member", "newcomer")
    assert found.payload == {"roles_before": None, "roles_after": ["viewer"]}
