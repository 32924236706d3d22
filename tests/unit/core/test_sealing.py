"""Sealed values open where they were sealed and nowhere else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from core.ids import new_id
from core.sealing import SealBrokenError, needs_resealing, seal, unseal

HERE = new_id()


@given(st.text(), st.text(max_size=50))
@limits(max_examples=50, deadline=None)
def test_a_sealed_text_comes_back(text: str, name: str) -> None:
    sealed = seal(text, workspace_id=HERE, name=name)
    assert unseal(sealed, workspace_id=HERE, name=name) == text
    assert unseal(memoryview(sealed), workspace_id=HERE, name=name) == text


def test_two_seals_of_one_text_differ_and_hide_it() -> None:
    first, second = (seal("plain text", workspace_id=HERE, name="n") for _ in range(2))
    assert first != second
    assert b"plain" not in first


def test_a_copied_row_does_not_open_elsewhere() -> None:
    sealed = seal("text", workspace_id=HERE, name="provider:a")
    for options in (
        {"workspace_id": new_id(), "name": "provider:a"},
        {"workspace_id": HERE, "name": "provider:b"},
        {"workspace_id": HERE, "name": "provider:a", "purpose": "other"},
    ):
        with pytest.raises(SealBrokenError) as broken:
            unseal(sealed, **options)  # type: ignore[arg-type]  # as listed
        assert "text" not in str(broken.value).replace("sealed", "")


@given(st.integers(min_value=0, max_value=60), st.integers(min_value=1, max_value=255))
@limits(max_examples=60, deadline=None)
def test_a_changed_byte_breaks_the_seal(position: int, change: int) -> None:
    sealed = bytearray(seal("a text of some length, so there is much to change", workspace_id=HERE,
                            name="n"))  # fmt: skip
    sealed[position] ^= change
    with pytest.raises(SealBrokenError):
        unseal(bytes(sealed), workspace_id=HERE, name="n")


@pytest.mark.parametrize("blob", [b"", b"\x01", b"\x02" + b"x" * 60])
def test_what_is_no_seal_is_refused(blob: bytes) -> None:
    with pytest.raises(SealBrokenError, match="unknown format"):
        unseal(blob, workspace_id=HERE, name="n")


def test_an_old_key_opens_while_it_is_a_fallback(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old key", []
    sealed = seal("text", workspace_id=HERE, name="n")
    assert not needs_resealing(sealed, workspace_id=HERE)

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new key", ["older", "old key"]
    assert unseal(sealed, workspace_id=HERE, name="n") == "text"
    assert needs_resealing(sealed, workspace_id=HERE)

    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(SealBrokenError, match="does not open"):
        unseal(sealed, workspace_id=HERE, name="n")
