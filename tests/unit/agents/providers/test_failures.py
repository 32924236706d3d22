"""Vendor texts are cleaned before they enter a sentence; keys are struck out in every form."""

from urllib.parse import quote

import httpx2
import pytest

from agents.errors import ProviderAuthError, ProviderRateLimitError, ProviderRequestError
from agents.providers.failures import Failures, clean_text

KEY = "sk-proj-aB3dE5fG7hI9jK1l/M+n=="


@pytest.fixture
def failures() -> Failures:
    return Failures("acme", [KEY, ""])


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect key: {KEY}.",
        f"key {KEY[:14]}… is wrong",
        f"url=?key={quote(KEY, '')}",
        f"{KEY}{KEY}",
        f"ends {KEY[-10:]}",
    ],
)
def test_no_eight_letters_of_a_key_survive(failures: Failures, text: str) -> None:
    clean = failures.scrub(text)
    assert "[key removed]" in clean
    for start in range(len(KEY) - 7):
        assert KEY[start : start + 8] not in clean


def test_a_key_masked_by_the_vendor_is_struck_out_whole(failures: Failures) -> None:
    assert failures.scrub("provided: sk-pr****M+n. Try") == "provided: [key removed]+n. Try"


def test_a_key_is_found_after_a_very_long_text_was_cut(failures: Failures) -> None:
    clean = failures.scrub("x" * 7_990 + KEY)
    assert "sk-proj-" not in clean
    assert len(clean) <= 500


def test_the_name_shown_is_all_a_representation_shows(failures: Failures) -> None:
    assert repr(failures) == "Failures('acme')"


def test_text_becomes_one_printable_line() -> None:
    assert clean_text("a\x00b\r\n\x1b[0m c\u202ed\u2028e") == "a b [0m c d e"
    assert clean_text("x" * 600) == "x" * 499 + "…"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"message":"A"}}', "A"),
        (b'{"error":"B"}', "B"),
        (b'{"message":"C"}', "C"),
        (b'{"detail":[{"msg":"D"}]}', "D"),
        (b'[{"error":{"message":"E"}}]', "E"),
        (b"<html><title>F</title><body>no</body>", "F"),
        (b"<p>G</p>", "G"),
        (b"plain H", "plain H"),
        (b"", "no message"),
        (b"\xff\xfe", "��"),
        (b"[" * 50_000, None),
    ],
)
def test_the_vendor_sentence_is_found_in_many_shapes(
    failures: Failures, body: bytes, said: str | None
) -> None:
    error = failures.from_status(400, httpx2.Headers(), body, model="m")
    assert type(error) is ProviderRequestError
    if said is not None:
        assert error.message == f"acme refused with status 400: {said}."


def test_a_delay_in_the_body_counts_when_no_header_says_one(failures: Failures) -> None:
    body = b'{"error":{"code":429,"message":"x","details":[{"retryDelay":"12.5s"}]}}'
    error = failures.from_status(429, httpx2.Headers(), body, model="m")
    assert error.retry_after_seconds == 12.5
    headers = httpx2.Headers({"retry-after-ms": "1500", "retry-after": "9"})
    assert failures.from_status(429, headers, body, model="m").retry_after_seconds == 1.5


@pytest.mark.parametrize("text", ["-5", "nan", "inf", "1e999", "Wed, 99 Foo"])
def test_a_senseless_retry_after_is_left_out(failures: Failures, text: str) -> None:
    error = failures.from_status(429, httpx2.Headers({"retry-after": text}), b"", model="m")
    assert error.retry_after_seconds is None


def test_an_exhausted_account_is_told_apart_from_haste(failures: Failures) -> None:
    body = b'{"error":{"message":"quota","code":"insufficient_quota"}}'
    error = failures.from_status(429, httpx2.Headers(), body, model="m")
    assert type(error) is ProviderRateLimitError
    assert "no credit left" in error.remedy


def test_a_conversation_too_long_is_told_as_such(failures: Failures) -> None:
    body = b'{"error":{"message":"long","code":"context_length_exceeded"}}'
    error = failures.from_status(400, httpx2.Headers(), body, model="m")
    assert "too long for this model" in error.remedy


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "authentication_error", "message": "x"}, ProviderAuthError),
        ({"code": 429, "message": "x"}, ProviderRateLimitError),
        ({"status": "INVALID_ARGUMENT", "message": "x"}, ProviderRequestError),
    ],
)
def test_errors_inside_a_stream_are_classed_by_their_word(
    failures: Failures, error: dict[str, object], expected: type[Exception]
) -> None:
    assert type(failures.from_error_object(error, model="m")) is expected
