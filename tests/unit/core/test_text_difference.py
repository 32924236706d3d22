"""Differences of texts as lines: exact where that can be had, and never at the price of minutes."""

import random

import pytest

from core.admin import text_difference


def told(before: str, after: str) -> list[str]:
    return [f"{line.sign}{line.text}" for line in text_difference(before, after)]


def numbers(count: int, *, different: int, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    return [str(chance.randrange(different)) for _ in range(count)]


def test_changed_lines_are_told_with_three_around_each() -> None:
    before = "\n".join("abcdefgh")
    after = before.replace("e", "E")

    assert told(before, after) == [
        "@@ -2,7 +2,7 @@",
        " b",
        " c",
        " d",
        "-e",
        "+E",
        " f",
        " g",
        " h",
    ]
    assert told(before, before) == []


def test_texts_that_take_minutes_to_compare_are_told_from_first_to_last_difference() -> None:
    """An agent writes a file of fifty thousand lines of a hundred and twenty words."""
    middle, other = (numbers(50_000, different=120, seed=seed) for seed in (1, 2))
    ends = ["first", "second", "third", "fourth"]
    before = "\n".join([*ends, "old", *middle, *ends])
    after = "\n".join([*ends, "new", *other, "more", *ends])

    lines = told(before, after)

    assert lines[0] == "@@ -2,50007 +2,50008 @@"
    assert lines[1:5] == [" second", " third", " fourth", "-old"]
    assert lines[5 + 50_000] == "+new"
    assert lines[-4:] == ["+more", " first", " second", " third"]
    assert len(lines) == 1 + 3 + 50_001 + 50_002 + 3
    assert told(before, before) == []


@pytest.mark.parametrize(
    ("before", "after"), [("head", "tail"), ("whole", "part"), ("part", "whole")]
)
def test_a_text_that_only_grows_or_shrinks_keeps_its_ends(before: str, after: str) -> None:
    body = numbers(50_000, different=120)
    texts = {"whole": body, "part": body[:40_000], "head": ["h", *body], "tail": [*body, "t"]}

    lines = told("\n".join(texts[before]), "\n".join(texts[after]))

    kept = [line for line in lines if line[0] != "+"][1:]
    assert len([line for line in lines if line[0] == "@"]) == 1
    assert "\n".join(line[1:] for line in kept) in "\n".join(texts[before])


def test_a_long_text_with_many_empty_lines_is_told_exactly() -> None:
    body = [f"line {n}" if n % 3 else "" for n in range(6_000)]
    changed = [*body[:3_001], "changed", *body[3_002:]]

    assert told("\n".join(body), "\n".join(changed))[4:6] == ["-line 3001", "+changed"]
