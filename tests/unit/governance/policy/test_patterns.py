"""Patterns mean what Python's mean on ASCII, and those without a bound are refused."""

import re

import pytest

from governance.policy.matrix.patterns import PatternError, parse_pattern

_PATTERNS = (
    "a",
    "abc",
    ".*",
    "a.c",
    "[abc]+",
    "[^abc]",
    "[a-f0-9]{2,4}",
    "(?:ab|cd)*",
    "(ab|cd){2}",
    "a|b|",
    "\\d+",
    "\\w*",
    "\\s?",
    "\\D",
    "\\W+",
    "\\S*",
    "a\\.b",
    "\\[x\\]",
    "[\\]a-]",
    "[]a]",
    "[a^]",
    "[-a]",
    "a{3}",
    "a{1,}",
    "(?:a|b)?c",
    "x(?:yz){0,2}",
    '"[^"]*"',
    "\\\\",
    "\\t|\\n|\\r",
    "[\\d_]+",
    "[\\s]+",
    "^abc$",
    "[!-~]+",
    "",
)
_TEXTS = (
    "",
    "a",
    "b",
    "c",
    "ab",
    "abc",
    "a.b",
    "axb",
    "abab",
    "cdab",
    "ff",
    "1a2b",
    "123",
    "_x1",
    " ",
    "\t",
    "\n",
    "\r",
    "a\nc",
    "[x]",
    "]",
    "-",
    "^",
    "aaa",
    "aaaa",
    "xyzyz",
    "xyz",
    "bc",
    '"a b"',
    '"a"b"',
    "\\",
    "~!",
    "abc\n",
)


@pytest.mark.parametrize("source", _PATTERNS)
def test_a_pattern_covers_what_python_would(source: str) -> None:
    pattern = parse_pattern(source)
    # Python's $ would also stand before a last line break.
    inner = source.removeprefix("^").removesuffix("$")

    assert {text for text in _TEXTS if pattern.covers(text)} == {
        text for text in _TEXTS if re.fullmatch(inner, text, re.ASCII)
    }


def test_outside_ascii_a_run_counts_as_one_character() -> None:
    assert parse_pattern("gr.n").covers("gr\u00fcn")
    assert parse_pattern("gr.n").covers("gr\u00fc\u20ac\U0001d4b3n")
    assert parse_pattern("[^a-z]").covers("\u00fc")
    assert not parse_pattern("\\w").covers("\u00fc")


@pytest.mark.parametrize(
    "source",
    [
        "(a+)+",
        "(a*)*",
        "(?:a|a)*",
        "(?:a|ab)*",
        "(?:a?b?)*",
        "(?:a?){9}",
        "(?:a{1,2})+",
        "(?:|a)+",
        "a*" * 5,
        "a?" * 9,
        "a{65}",
        "a{3,2}",
        "(?:a{60}){60}",
        "a**",
        "a+?",
        "*a",
        "(a",
        "a)",
        "[a",
        "[^\\D\\d]",
        "\\",
        "(?=a)",
        "(?i)a",
        "(?P<n>a)",
        "(a)\\1",
        "\\b",
        "\\x41",
        "\\pL",
        "a^b",
        "a$b",
        "[[:alpha:]]",
        "[z-a]",
        "\u00fc",
        "[\u00fc]",
        "{2}",
        "a{x}",
        "(" * 12 + ")" * 12,
        "a" * 501,
    ],
)
def test_what_has_no_bound_or_no_common_meaning_is_refused(source: str) -> None:
    with pytest.raises(PatternError) as raised:
        parse_pattern(source)

    assert raised.value.remedy
