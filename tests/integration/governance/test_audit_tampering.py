"""Whatever is done to a chain or to its file is found, and the first broken entry is named."""

import json
import random
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from agentry.audit.documents import PublicKeys, canonical, hash_of
from agentry.audit.verifying import checkpoints_of
from core.errors import DomainError
from core.ids import new_id
from core.signing import signing_public_key
from governance.errors import AuditBrokenError
from governance.execution import checkpoint_write, checkpoints_write_due
from governance.models import AuditCheckpoint, AuditEntry, AuditHead, Workspace
from governance.services.audit_exports import audit_lines
from tests.factories.governance import make_workspace
from tests.integration.governance.audit_kit import (
    append,
    check,
    entry,
    fill,
    keys,
    rehash,
    verdict,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain() -> Workspace:
    """Twelve entries, signed after the eighth."""
    workspace = make_workspace("acme")
    fill(workspace, upto=12, signed=8)
    return workspace


def _rows(workspace: Workspace) -> Any:
    return AuditEntry.objects.filter(workspace=workspace)


def test_a_chain_nobody_touched_holds(chain: Workspace) -> None:
    report = check(chain)

    assert (report.first, report.last, report.entries) == (1, 12, 12)
    assert (report.checkpoints, report.signed) == (1, 8)
    assert (report.chain, report.workspace) == (str(chain.pk), "acme")


# --- in the database ------------------------------------------------------------------------------


def _update(workspace: Workspace) -> None:
    _rows(workspace).filter(sequence=5).update(payload={"number": 500})


def _update_actor(workspace: Workspace) -> None:
    _rows(workspace).filter(sequence=5).update(actor_name="somebody else")


def _update_and_rehash(workspace: Workspace) -> None:
    _update(workspace)
    rehash(workspace, since=5)


def _update_after_checkpoint(workspace: Workspace) -> None:
    _rows(workspace).filter(sequence=11).update(payload={"number": 500})


def _update_hash_alone(workspace: Workspace) -> None:
    _rows(workspace).filter(sequence=5).update(hash="0" * 64)


def _delete(workspace: Workspace) -> None:
    _rows(workspace).filter(sequence=5).delete()


def _delete_and_close_up(workspace: Workspace) -> None:
    _delete(workspace)
    for row in _rows(workspace).filter(sequence__gt=5).order_by("sequence"):
        row.sequence -= 1
        row.save(update_fields=["sequence"])
    rehash(workspace, since=4)


def _reorder(workspace: Workspace) -> None:
    _rows(workspace).filter(sequence=5).update(sequence=500)
    _rows(workspace).filter(sequence=6).update(sequence=5)
    _rows(workspace).filter(sequence=500).update(sequence=6)


def _insert(workspace: Workspace) -> None:
    """Make room after the fourth entry, and put one in that fits on both sides but for the link."""
    for row in _rows(workspace).filter(sequence__gt=4).order_by("-sequence"):
        row.sequence += 1
        row.save(update_fields=["sequence"])
    forged = entry(workspace, 4)
    forged.pk, forged.sequence, forged.previous_hash = new_id(), 5, forged.hash
    forged._state.adding = True
    forged.save()
    rehash(workspace, since=5)


def _cut_tail(workspace: Workspace) -> None:
    _rows(workspace).filter(sequence__gt=10).delete()


def _cut_tail_with_head(workspace: Workspace) -> None:
    _rows(workspace).filter(sequence__gt=6).delete()
    AuditHead.objects.filter(pk=workspace.pk).update(sequence=6, hash=entry(workspace, 6).hash)


def _all_gone(workspace: Workspace) -> None:
    _rows(workspace).delete()


def _from_another_chain(workspace: Workspace) -> None:
    other = make_workspace("other")
    fill(other, upto=5)
    _delete(workspace)
    _rows(other).filter(sequence=5).update(workspace=workspace)


def _checkpoint_changed(workspace: Workspace) -> None:
    AuditCheckpoint.objects.filter(workspace=workspace).update(hash="0" * 64)


def _replace_last(workspace: Workspace) -> None:
    """Rewrite the last entry so that it fits, but not the head."""
    head = AuditHead.objects.get(pk=workspace.pk).hash
    _rows(workspace).filter(sequence=12).update(payload={})
    rehash(workspace, since=12)
    AuditHead.objects.filter(pk=workspace.pk).update(hash=head)


TAMPERINGS: dict[Callable[[Workspace], None], tuple[int, str]] = {
    _update: (5, "it was changed after it was written"),
    _update_actor: (5, "it was changed after it was written"),
    _update_hash_alone: (5, "it was changed after it was written"),
    _update_and_rehash: (8, "another hash of it was signed"),
    _update_after_checkpoint: (11, "it was changed after it was written"),
    _delete: (5, "it is missing; entry 6 stands in its place"),
    _delete_and_close_up: (8, "another hash of it was signed"),
    _reorder: (5, "it was changed after it was written"),
    _insert: (8, "another hash of it was signed"),
    _cut_tail: (11, "it is missing"),
    _cut_tail_with_head: (7, "it is missing: a checkpoint signs entry 8"),
    _all_gone: (1, "it is missing"),
    _from_another_chain: (5, "it was changed after it was written"),
    _checkpoint_changed: (8, "its signature does not belong to what it says"),
    _replace_last: (12, "it is not the entry that was appended last"),
}


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda deed: deed.__name__.strip("_"))
def test_tampering_with_rows_is_found_and_named(
    chain: Workspace, tamper: Callable[[Workspace], None]
) -> None:
    sequence, words = TAMPERINGS[tamper]
    tamper(chain)

    found, what = verdict(audit_lines(chain))
    assert found == sequence
    assert words in what
    said = StringIO()
    with pytest.raises(CommandError, match="1 of 1 chains are broken"):
        call_command("audit", "verify", "--workspace", "acme", stderr=said)
    assert f"Broken at entry {sequence}: " in said.getvalue()


@pytest.mark.parametrize(
    "tamper", [_update_after_checkpoint, _cut_tail, _replace_last], ids=lambda deed: deed.__name__
)
def test_what_is_broken_is_not_signed(
    chain: Workspace, tamper: Callable[[Workspace], None], settings: Any
) -> None:
    tamper(chain)
    settings.AUDIT_CHECKPOINT_ENTRIES = 1
    signed = AuditCheckpoint.objects.filter(workspace=chain).count()

    with pytest.raises(AuditBrokenError) as refused:
        checkpoint_write(chain.pk)
    checkpoints_write_due()

    assert refused.value.detail["sequence"] in {11, 12}
    assert isinstance(refused.value, DomainError)
    assert AuditCheckpoint.objects.filter(workspace=chain).count() == signed
    assert "audit verify" in refused.value.remedy


def test_a_checkpoint_that_is_gone_stops_the_signing(chain: Workspace) -> None:
    AuditCheckpoint.objects.filter(workspace=chain).delete()

    with pytest.raises(AuditBrokenError, match="its checkpoint is gone"):
        checkpoint_write(chain.pk)


def test_a_whole_chain_written_anew_is_found_by_a_checkpoint_one_has_kept(
    chain: Workspace,
) -> None:
    kept = checkpoints_of(audit_lines(chain), keys())
    _update(chain)
    rehash(chain, since=5)
    AuditCheckpoint.objects.filter(workspace=chain).delete()
    AuditHead.objects.filter(pk=chain.pk).update(signed_sequence=0)
    checkpoint_write(chain.pk)

    assert check(chain).signed == 12
    assert verdict(audit_lines(chain), kept=kept) == (
        8,
        "another hash of it was signed: it, or entries before it, were rewritten",
    )
    _rows(chain).filter(sequence__gt=6).delete()
    AuditCheckpoint.objects.filter(workspace=chain).delete()
    AuditHead.objects.filter(pk=chain.pk).update(sequence=6, hash=entry(chain, 6).hash)
    assert verdict(audit_lines(chain), kept=kept) == (
        7,
        "it is missing: a checkpoint you kept signs entry 8",
    )


# --- in the file ----------------------------------------------------------------------------------


def test_another_key_is_told_from_a_broken_chain(chain: Workspace) -> None:
    pem = (
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )

    sequence, what = verdict(audit_lines(chain), keys=PublicKeys([pem]))

    assert sequence == 8
    assert "signed with another key" in what
    both = PublicKeys([pem, signing_public_key().encode()])
    assert check(chain).entries == 12
    assert sum(1 for _ in audit_lines(chain)) == 15
    assert checkpoints_of(audit_lines(chain), both)


def test_a_change_of_the_sites_key_leaves_old_signatures_good(
    chain: Workspace, settings: Any
) -> None:
    earlier = signing_public_key().encode()
    settings.AUDIT_KEY = "another key of the site, long enough to be one"
    append(chain, "under the new key")
    checkpoint_write(chain.pk)

    sequence, what = verdict(audit_lines(chain))
    assert (sequence, "signed with another key" in what) == (8, True)
    both = PublicKeys([earlier, signing_public_key().encode()])
    assert verdict(audit_lines(chain), keys=PublicKeys([earlier]))[0] == 13
    assert not [
        complaint
        for line in audit_lines(chain)
        if (document := json.loads(line))["type"] == "checkpoint"
        and (complaint := both.complaint(document))
    ]


def test_a_file_of_some_time_stands_alone(chain: Workspace) -> None:
    since, until = entry(chain, 4).at, entry(chain, 7).at

    lines = list(audit_lines(chain, since=since, until=until))
    report = check(chain, lines)

    assert (report.first, report.last, report.signed) == (4, 6, 0)
    assert verdict(lines[:2] + lines[3:])[0] == 5
    assert check(chain, audit_lines(chain, since=entry(chain, 9).at)).signed == 8
    assert check(chain, audit_lines(chain, until=entry(chain, 1).at)).entries == 0


def test_a_name_that_stands_twice_is_refused(chain: Workspace) -> None:
    lines = list(audit_lines(chain))
    lines[3] = lines[3].replace(b'{"action"', b'{"action":"exported","action"', 1)

    assert verdict(lines) == (3, "it cannot be read (a name stands twice)")


def _forged(line: bytes, chance: random.Random) -> bytes:
    """Return an entry with another content and a hash that fits it."""
    document = json.loads(line)
    document["payload"] = {"number": chance.randrange(10**6, 10**7)}
    if "hash" in document:
        document["hash"] = hash_of(document)
    return canonical(document) + b"\n"


def _tampered(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Do one random thing to a file."""
    lines = list(lines)
    place, other = chance.sample(range(len(lines)), 2)
    kind = chance.choice(["flip", "drop", "double", "swap", "cut", "forge", "insert"])
    if kind == "flip":
        line = bytearray(lines[place])
        line[chance.randrange(len(line))] ^= 1 << chance.randrange(8)
        lines[place : place + 1] = [*BytesIO(bytes(line))]
    elif kind == "drop":
        del lines[place]
    elif kind == "double":
        lines.insert(other, lines[place])
    elif kind == "swap":
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == "cut" or not _is_document(lines[place]):  # what is broken cannot be forged
        del lines[max(1, place) :]
    else:
        lines[place : place + (kind == "forge")] = [_forged(lines[place], chance)]
    return lines


def _is_document(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@limits(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(min_value=0, max_value=2**32), times=st.integers(1, 3))
def test_no_random_tampering_with_a_file_passes(chain: Workspace, seed: int, times: int) -> None:
    whole = _whole(chain)
    chance = random.Random(seed)
    lines = whole
    for _ in range(times):
        lines = _tampered(lines, chance) if len(lines) > 1 else lines
    if b"".join(lines) != b"".join(whole):
        verdict(BytesIO(b"".join(lines)))


_files: dict[str, list[bytes]] = {}


def _whole(chain: Workspace) -> list[bytes]:
    """Return the chain's file, made once for all examples of a test."""
    return _files.setdefault(str(chain.pk), list(audit_lines(chain)))
