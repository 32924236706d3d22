"""Patterns of a site are taken when they end soon on any text, and refused at the start."""

import re

import pytest

from core import redaction
from core.patterns import patterns_parse
from core.redaction import WITHHELD, redact_or_withhold, redact_text


@pytest.mark.parametrize(
    "line",
    [
        "corp-[A-Z0-9]{8,64}",
        r"acct_\d{4}-\d{4}",
        "key:(?:live|test)_[a-z]{4}",
    ],
)
def test_a_bounded_pattern_is_taken(line: str) -> None:
    (pattern,) = patterns_parse(f"\n  {line}  \n\n")
    assert pattern.compiled == re.compile(line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("corp-.*", "without an end"),
        ("corp-[a-z]+", "without an end"),
        ("corp-(ab){1,5}", "repeats more than one"),
        ("corp-(a{1,9}){1,9}", "repeats more than one"),
        ("corp-a{0,99}a{0,99}", "ways"),
        ("corp-a{2000}", "without an end"),
        ("[a-z]{3}", "does not begin"),
        ("ab", "does not begin"),
        (r"corp-(x)\1", "looks around or back"),
        ("corp-(?=x)", "looks around or back"),
        ("(?i)corp-x", "flags"),
        ("corp-(", "no regular expression"),
    ],
)
def test_what_could_take_long_is_refused_with_its_line(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"line 2 .*{why}"):
        patterns_parse(f"fine-x\n{line}")


def test_what_matches_is_redacted_and_a_failure_withholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_configured", patterns_parse("corp-[A-Z]{4,9}"))
    assert redact_text("it is corp-ABCDE.") == "it is [redacted]."

    monkeypatch.setattr(redaction, "_configured", (object(),))
    assert redact_or_withhold({"a": "corp-ABCDE"}) == WITHHELD
