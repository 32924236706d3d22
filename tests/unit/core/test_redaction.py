"""No secret survives redaction, and nothing else is touched."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import redaction
from core.known_values import REDACTED, KnownSecrets
from core.redaction import (
    WITHHELD,
    known_secrets,
    redact,
    redact_or_withhold,
    redact_text,
    storable,
)

SECRETS = [
    "sk-proj-abcdefghijklmnopqrstuvwx",
    "sk-ant-api03-abcdefghijklmnopqrstuvwx",
    "agk_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijklmnop",
    "glpat-abcdefghijklmnopqrst",
    "xoxb-1234567890-abcdefghij",
    "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "key: {} end", '"{}"', "a={}\nb", "({})"])
def test_shapes_of_secrets_are_found_anywhere(secret: str, frame: str) -> None:
    assert redact_text(frame.format(secret)) == frame.format(REDACTED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abcdefghijklmnop1234", "Authorization: Bearer [redacted]"),
        ("authorization: basic dXNlcjpwdw==", "authorization: basic [redacted]"),
        ("postgres://me:hunter22@db:5432/x", "postgres://me:[redacted]@db:5432/x"),
        ("redis://:hunter22@cache/0", "redis://:[redacted]@cache/0"),
        ("/cb?code=1&access_token=abcdef123456&x=1", "/cb?code=1&access_token=[redacted]&x=1"),
        ("Server=db; password=hunter22; x", "Server=db; password=[redacted]; x"),
        ('{"x-api-key": "abcdef123456"}', '{"x-api-key": "[redacted]"}'),
        ("-----BEGIN PRIVATE KEY-----\nMIIcut off", REDACTED),
    ],
)
def test_secrets_in_headers_and_addresses_lose_only_themselves(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the task-list and the risk-assessment-of-the-whole-thing",
        "a bearer of bad news",
        "basic authorization is a topic",
        "see https://example.org:8080/path?monkey=1",
        "password=",
        "eyJ is how base64 of an object begins",
        "Zürich, naïve, 東京, 🦀",
        "mask-abcdefghijklmnopqrstuvwxyz",
    ],
)
def test_clean_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


@pytest.fixture
def known() -> Iterator[str]:
    value = 'p@ss"wört/1'
    known_secrets.add(value)
    yield value
    known_secrets.remove(value)


def test_known_values_are_found_in_every_spelling(known: str) -> None:
    for leak in (
        f"it is {known}.",
        json.dumps({"a": known}),
        json.dumps({"a": known}, ensure_ascii=False),
        "p%40ss%22w%C3%B6rt%2F1",
        "cEBzcyJ3w7ZydC8x",
        known.encode().hex(),
        f"Illegal header value {known.encode()!r}",
    ):
        cleaned = redact_text(leak)
        assert REDACTED in cleaned
        assert known not in cleaned
    assert redact_text("p@ss") == "p@ss"


def test_known_values_are_counted_and_short_ones_refused() -> None:
    secrets = KnownSecrets()
    secrets.add("abcdef")
    secrets.add("abcdef")
    secrets.add("abcdefghi")
    secrets.remove("abcdef")
    assert secrets.replace("abcdefghi abcdef") == f"{REDACTED} {REDACTED}"
    secrets.remove("abcdef")
    secrets.remove("abcdef")
    assert secrets.replace("abcdef") == "abcdef"
    assert len(secrets) == 1
    with pytest.raises(ValueError, match="at least 6"):
        secrets.add("abc")


def test_values_are_redacted_in_depth_and_by_name() -> None:
    secret = SECRETS[0]
    value: Any = {
        "password": "short",
        "X-Api-Key": "short",
        "password_length": 5,
        "token": "continue-here",
        "empty": {"secret": ""},
        "list": [1, 2.5, True, None, secret, {"deep": f"x {secret}"}],
        secret: 1,
    }
    assert redact(value) == {
        "password": REDACTED,
        "X-Api-Key": REDACTED,
        "password_length": 5,
        "token": "continue-here",
        "empty": {"secret": ""},
        "list": [1, 2.5, True, None, REDACTED, {"deep": f"x {REDACTED}"}],
        REDACTED: 1,
    }
    assert value["password"] == "short"


def test_names_that_become_equal_keep_both_values() -> None:
    result: Any = redact({SECRETS[0]: 1, SECRETS[1]: 2})
    assert sorted(result.values()) == [1, 2]
    assert not any(secret in json.dumps(result) for secret in SECRETS)


def test_what_cannot_be_redacted_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    assert redact_or_withhold({"a": object()}) == WITHHELD
    assert redact_or_withhold({1: "a"}) == WITHHELD
    assert redact_or_withhold(b"bytes") == WITHHELD
    endless: list[Any] = []
    endless.append(endless)
    assert redact_or_withhold(endless) == WITHHELD
    assert redact_or_withhold(("a", SECRETS[0])) == ["a", REDACTED]

    def explode(_: str) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(redaction, "storable", explode)
    assert redact_or_withhold("text") == WITHHELD


def test_text_becomes_storable() -> None:
    assert storable("a\x00b\ud800c\udfffd") == "a\ufffdb\ufffdc\ufffdd"
    assert storable("🦀é") == "🦀é"


_any_text = st.text(alphabet=st.characters(categories=None))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_any_text, inner, max_size=4),
    max_leaves=12,
)
_pieces = st.one_of(
    _any_text, st.sampled_from([*SECRETS, "password=", "://", "Bearer ", "@", "x:"])
)


@given(st.lists(_pieces, max_size=6).map("".join))
@settings(max_examples=120, deadline=None)
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once
    once.encode("utf-8")
    assert "\x00" not in once


@given(_any_text, st.sampled_from(SECRETS), _any_text)
@settings(max_examples=120, deadline=None)
def test_no_secret_survives_between_words(before: str, secret: str, after: str) -> None:
    assert secret not in redact_text(f"{before} {secret} {after}")


@given(_json)
@settings(max_examples=80, deadline=None)
def test_every_json_value_is_redacted_to_storable_json(value: Any) -> None:
    result = redact(value)
    json.dumps(result, ensure_ascii=False).encode("utf-8")
    assert redact_or_withhold(value) == result


@pytest.mark.parametrize("before", ["", "a", "ab", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_a_known_value_is_found_in_the_middle_of_a_longer_base64(before: str, after: str) -> None:
    value = "correct-horse-battery-staple"
    known_secrets.add(value)
    try:
        encoded = base64.b64encode(f"{before}{value}{after}".encode()).decode()
        shown = redact_text(f"Authorization: {encoded}")
    finally:
        known_secrets.remove(value)

    assert "[redacted]" in shown
    assert base64.b64encode(value.encode()).decode()[4:-4] not in shown
    left = shown.removeprefix("Authorization: ").replace("[redacted]", "")
    assert len(left) <= 4 * (len(before) // 3 + 1) + 4  # the neighbours, and what they share


def test_what_is_remembered_stays_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.known_values.MAX_REMEMBERED", 3)
    known = KnownSecrets()
    for number in range(3):
        known.remember(f"value-number-{number}")
    known.remember("value-number-0")
    known.remember("value-number-3")
    known.remember("short")

    assert len(known) == 3
    assert known.replace("value-number-0 value-number-1 value-number-3") == (
        "[redacted] value-number-1 [redacted]"
    )


def test_many_known_values_are_found_in_short_and_long_texts() -> None:
    known = KnownSecrets()
    for number in range(200):
        known.remember(f"value-number-{number:04}")
    for filler in ("", "x" * 50_000):
        assert known.replace(f"{filler} value-number-0123") == f"{filler} [redacted]"
