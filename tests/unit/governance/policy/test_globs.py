"""Paths with stars: what they match, and that they cost no more than they may."""

import itertools

import pytest

from governance.policy.matrix import globs
from governance.policy.matrix.globs import ANY_PARTS, matches_path
from governance.policy.matrix.model import MAX_PATH_TEXT


def as_defined(wanted: list[str], parts: list[str]) -> bool:
    """What `**` means, tried in every way."""
    if not wanted:
        return not parts
    if wanted[0] == ANY_PARTS:
        return any(as_defined(wanted[1:], parts[at:]) for at in range(len(parts) + 1))
    same = bool(parts) and wanted[0] in {parts[0], "*"}
    return same and as_defined(wanted[1:], parts[1:])


def test_stars_mean_what_they_say() -> None:
    paths = [list(parts) for size in range(1, 6) for parts in itertools.product("ab", repeat=size)]
    written = itertools.chain.from_iterable(
        itertools.product(["a", "b", "*", ANY_PARTS], repeat=size) for size in range(1, 5)
    )
    for wanted in written:
        for parts in paths:
            told = matches_path("/".join(wanted), "/".join(parts))
            assert told is as_defined(list(wanted), parts), (wanted, parts)


@pytest.mark.parametrize("glob", ["**/a/**/b", "**/*/**/b", "a/**/a/**/a", "**/a/a/a/**/b"])
def test_the_longest_path_is_matched_in_a_time_with_its_length(
    glob: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grant's pattern is held against a call where nothing else would end it."""
    asked = 0
    matches = globs.matches

    def counted(one: str, text: str) -> bool:
        nonlocal asked
        asked += 1
        return matches(one, text)

    monkeypatch.setattr(globs, "matches", counted)
    parts = ["a"] * (MAX_PATH_TEXT // 2)
    assert matches_path(glob, "/".join(parts)) is (glob == "a/**/a/**/a")
    assert asked <= len(parts) * len(glob.split("/"))
