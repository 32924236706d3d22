"""Texts with stars: what may be written, and what it matches.

`*` stands for any run of characters, also none. In paths a `*` stays between two slashes, and `**`
as a whole part stands for any number of parts, also none. There are no other special characters.
Matching takes time linear in the text, whatever is written.
"""

import itertools
import re
from collections.abc import Sequence

MAX_GLOB = 500
MAX_STARS = 8
ANY_PARTS = "**"

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ue000-\uf8ff]")
_OTHERS = re.compile(r"[?{}\[\]\\]")
_HOST = re.compile(r"[a-z0-9_.:\[\]*-]+")
_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):[^:]*")


def mistake_in_glob(glob: str) -> tuple[str, str] | None:
    """Return what is wrong and a remedy, or nothing."""
    if not glob:
        return "an empty pattern matches nothing that has a name", "Write `*` for anything."
    if len(glob) > MAX_GLOB:
        return f"it is longer than {MAX_GLOB} characters", "Shorten it."
    if _CONTROL.search(glob):
        return "control and private characters cannot be matched", "Remove them."
    if glob.count("*") > MAX_STARS:
        return f"it has more than {MAX_STARS} stars", "Write a simpler one."
    if found := _OTHERS.search(glob):
        what = f"`{found.group()}` has no meaning here; `*` is the only special character"
        return what, "Use `equals` for a text with this character, or `regex`."
    return None


def mistake_in_host(glob: str) -> tuple[str, str] | None:
    if glob and not _HOST.fullmatch(glob):
        return (
            f"`{glob[:60]}` is not a host in lower case",
            "Write the name as it is resolved, such as `*.example.com` or `example.com:443`.",
        )
    if glob.endswith(".") or ".:" in glob:
        return "a host is written without a dot at its end", "Remove the dot."
    return None if glob.startswith("[") else mistake_in_glob(glob)


def mistake_in_path(glob: str) -> tuple[str, str] | None:
    if found := mistake_in_glob(glob):
        return found
    parts = glob.split("/")
    if any(ANY_PARTS in part and part != ANY_PARTS for part in parts):
        return "`**` stands for whole parts", "Put it between slashes, as in `/a/**/b`."
    if parts.count(ANY_PARTS) > 2:
        return "it has more than two `**`", "Split it into several paths."
    if (ANY_PARTS, ANY_PARTS) in itertools.pairwise(parts):
        return "two `**` stand side by side", "One of them is enough."
    if "." in parts or ".." in parts or "" in parts[1:-1]:
        return "it has an empty part, `.` or `..`", "Write the path without detours."
    return None


def has_port(host: str) -> bool:
    return _PORT.fullmatch(host) is not None


def host_name(host: str) -> str:
    """Return the host without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0] if host.count(":") == 1 else host


def matches(glob: str, text: str) -> bool:
    first, *rest = glob.split("*")
    if not rest:
        return text == glob
    last = rest.pop()
    if len(text) < len(first) + len(last):
        return False
    if not (text.startswith(first) and text.endswith(last)):
        return False
    # The leftmost place of each part leaves the most room for the next.
    place, end = len(first), len(text) - len(last)
    for part in rest:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def matches_host(glob: str, host: str) -> bool:
    """A pattern without a port is about every port."""
    return matches(glob, host if has_port(glob) else host_name(host))


def matches_path(glob: str, path: str) -> bool:
    return _matches_parts(glob.split("/"), path.split("/"))


def _matches_parts(wanted: Sequence[str], parts: Sequence[str]) -> bool:
    first, *rest = _between(wanted)
    if not rest:
        return len(parts) == len(first) and _all_match(first, parts)
    last = rest.pop()
    place, end = len(first), len(parts) - len(last)
    if place > end or not (_all_match(first, parts) and _all_match(last, parts[end:])):
        return False
    # The leftmost place of each run leaves the most room for the next.
    for run in rest:
        found = range(place, end - len(run) + 1)
        at = next((at for at in found if _all_match(run, parts[at : at + len(run)])), -1)
        if at < 0:
            return False
        place = at + len(run)
    return True


def _between(wanted: Sequence[str]) -> list[list[str]]:
    """Return the runs of parts before, between and after those that stand for any number."""
    runs: list[list[str]] = [[]]
    for want in wanted:
        if want == ANY_PARTS:
            runs.append([])
        else:
            runs[-1].append(want)
    return runs


def _all_match(globs: Sequence[str], parts: Sequence[str]) -> bool:
    return all(matches(glob, part) for glob, part in zip(globs, parts, strict=False))
