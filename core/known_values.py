"""Values that must not be written: what this process knows of secrets, and how they leak.

A value is known while somebody holds it (a call, a workspace whose text is redacted here), or is
remembered for as long as the process lives. It is looked for in the spellings in which values leak:
escaped for JSON, HTML and URLs, in hexadecimal, and in Base64, also in the middle of a longer text.
"""

import base64
import html
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable
from urllib.parse import quote

REDACTED = "[redacted]"
MIN_KNOWN_LENGTH = 6
MIN_LINE_LENGTH = 24
MAX_REMEMBERED = 1_000
_PREFIX = 4
# Looking for one spelling takes about as long as looking at two places of a text.
_PLACES_A_SPELLING = 2
# From this many on, looking at each place is quicker, however long the text is.
_MANY_SPELLINGS = 1_500

_ESCAPE = re.compile("%[0-9A-F]{2}")


class KnownSecrets:
    """Values this process knows right now, in the spellings in which they leak.

    Counted: a value is known until everybody who holds it has let it go. Safe from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._held: dict[Hashable, frozenset[str]] = {}
        self._values_of: dict[str, int] = {}  # each spelling, and how many values have it
        self._by_prefix: dict[str, tuple[str, ...]] = {}
        self._beginnings: set[str] = set()
        self._longest = 0
        self._ordered: tuple[str, ...] | None = ()

    def add(self, value: str) -> None:
        """Redact `value` from now on; shorter than six characters is refused as too common."""
        if len(value) < MIN_KNOWN_LENGTH:
            raise ValueError(f"A known secret needs at least {MIN_KNOWN_LENGTH} characters.")
        with self._lock:
            self._take(value)

    def remove(self, value: str) -> None:
        with self._lock:
            if value in self._counts:
                self._drop([value])

    def remember(self, value: str) -> None:
        """Redact `value` for as long as this process lives; of very many the least recent go.

        What is too short to be told from ordinary text is not remembered.
        """
        if len(value) < MIN_KNOWN_LENGTH:
            return
        with self._lock:
            self._remember(value)

    def hold(self, owner: Hashable, values: Iterable[str]) -> None:
        """Redact these for as long as the owner holds them; what it held before is remembered.

        What is too short to be told from ordinary text is not held.
        """
        wanted = frozenset(value for value in values if len(value) >= MIN_KNOWN_LENGTH)
        with self._lock:
            before = self._held.get(owner, frozenset())
            for value in wanted - before:
                self._take(value)
            self._held[owner] = wanted
            self._forget(before - wanted)

    def let_go(self, owner: Hashable) -> None:
        """Remember only what the owner held."""
        with self._lock:
            self._forget(self._held.pop(owner, frozenset()))

    def _forget(self, values: Collection[str]) -> None:
        for value in values:
            self._remember(value)
        self._drop(values)

    def _remember(self, value: str) -> None:
        if value not in self._remembered:
            self._take(value)
        self._remembered[value] = None
        self._remembered.move_to_end(value)
        if len(self._remembered) > MAX_REMEMBERED:
            least_recent, _ = self._remembered.popitem(last=False)
            self._drop([least_recent])

    def _take(self, value: str) -> None:
        count = self._counts.get(value, 0)
        self._counts[value] = count + 1
        if count:
            return
        for spelling in set(_spellings(value)):
            known = self._values_of.get(spelling, 0)
            self._values_of[spelling] = known + 1
            if known:
                continue
            prefix = spelling[:_PREFIX]
            self._by_prefix[prefix] = (*self._by_prefix.get(prefix, ()), spelling)
            self._beginnings.update(prefix[:length] for length in range(1, _PREFIX))
            self._longest = max(self._longest, len(spelling))
            self._ordered = None

    def _drop(self, values: Collection[str]) -> None:
        gone: set[str] = set()
        for value in values:
            self._counts[value] -= 1
            if self._counts[value]:
                continue
            del self._counts[value]
            for spelling in set(_spellings(value)):
                self._values_of[spelling] -= 1
                if not self._values_of[spelling]:
                    del self._values_of[spelling]
                    gone.add(spelling)
        if gone:
            self._take_out(gone)

    def _take_out(self, gone: set[str]) -> None:
        self._ordered = None
        has_fewer_prefixes = False
        for prefix in {spelling[:_PREFIX] for spelling in gone}:
            left = tuple(each for each in self._by_prefix[prefix] if each not in gone)
            if left:
                self._by_prefix[prefix] = left
            else:
                del self._by_prefix[prefix]
                has_fewer_prefixes = True
        if has_fewer_prefixes:
            self._beginnings = {
                prefix[:length] for prefix in self._by_prefix for length in range(1, _PREFIX)
            }
        if max(map(len, gone)) == self._longest:
            self._longest = max(map(len, self._values_of), default=0)

    def begun(self, text: str) -> int:
        """Return from where on the end of `text` may be the beginning of a known secret."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            rest = text[start:]
            if len(rest) < _PREFIX:
                if rest in self._beginnings:
                    return start
            elif any(each.startswith(rest) for each in self._by_prefix.get(rest[:_PREFIX], ())):
                return start
        return len(text)

    def replace(self, text: str) -> str:
        for spelling in self._candidates(text):
            if spelling in text:
                text = text.replace(spelling, REDACTED)
        return text

    def _candidates(self, text: str) -> Iterable[str]:
        """Return the spellings that may be in the text, longest first, so that a secret that
        contains another one goes as a whole.

        Looking for each takes a time with the number of spellings, looking at each place of the
        text one with its length: the shorter way is taken.
        """
        number = len(self._values_of)
        if number < _MANY_SPELLINGS and len(text) > _PLACES_A_SPELLING * number:
            return self._in_order()
        by_prefix = self._by_prefix
        begun = {text[start : start + _PREFIX] for start in range(len(text) - _PREFIX + 1)}
        found = [each for prefix in begun for each in by_prefix.get(prefix, ())]
        return sorted(found, key=_longest_first)

    def _in_order(self) -> tuple[str, ...]:
        ordered = self._ordered
        if ordered is None:
            with self._lock:
                ordered = tuple(sorted(self._values_of, key=_longest_first))
                self._ordered = ordered
        return ordered

    def __len__(self) -> int:
        return len(self._counts)


def _longest_first(text: str) -> tuple[int, str]:
    return -len(text), text


def _spellings(value: str) -> Iterable[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    # As exceptions of libraries show what they were given.
    yield repr(value)[1:-1]
    yield repr(raw)[2:-1]
    yield html.escape(value)
    yield html.escape(value, quote=False)
    escaped = quote(raw, safe="")
    yield escaped
    yield escaped.replace("%20", "+")
    yield quote(raw)
    yield _ESCAPE.sub(lambda found: found[0].lower(), escaped)
    yield base64.b64encode(raw).decode("ascii")
    yield base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
    yield from _inside_base64(raw)
    yield raw.hex()
    yield raw.hex().upper()
    if "\n" in value:
        # Lines of a key go by themselves as well; short ones are not telling.
        for line in value.splitlines():
            if len(line.strip()) >= MIN_LINE_LENGTH:
                yield line.strip()


def _inside_base64(raw: bytes) -> Iterable[str]:
    """Yield how `raw` looks in the middle of a longer Base64, at each of three places: the
    characters that no neighbour has a share in."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode("ascii")
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        whole = encoded[first:last]
        if len(whole) >= MIN_KNOWN_LENGTH:
            yield whole
            yield whole.replace("+", "-").replace("/", "_")
