"""Typed values out of placed ones; each wrong value is a mistake, and reading goes on."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from governance.policy.placed import Mistakes, Placed

MAX_ENTRIES = 1000
MAX_TEXT = 2000

_Word = TypeVar("_Word", bound=StrEnum)
_Check = Callable[[str], tuple[str, str] | None]


class Reader:
    """Reads values and keeps what is wrong with them."""

    def __init__(self, mistakes: Mistakes) -> None:
        self.mistakes = mistakes

    def items(self, place: Placed, what: str) -> list[Placed]:
        if not isinstance(place.value, list):
            self.mistakes.add(place, f"{what} must be a list", "Begin each entry with `- `.")
            return []
        return place.value

    def texts(self, place: Placed, what: str) -> list[Placed]:
        """Return the texts of a list, or one text alone; an empty list is a mistake."""
        if isinstance(place.value, str):
            return [place]
        found = self.items(place, what)
        if isinstance(place.value, list) and not found:
            self.mistakes.add_at_key(place, f"{what} is empty", "Write entries, or leave it out.")
        if len(found) > MAX_ENTRIES:
            self.mistakes.add(place, f"{what} has more than {MAX_ENTRIES} entries", "Use `*`.")
        for each in found:
            if not isinstance(each.value, str):
                self.mistakes.add(each, f"an entry of {what} is no text", "Put it in quotes.")
        return [each for each in found if isinstance(each.value, str)]

    def globs(self, place: Placed, what: str, check: _Check) -> tuple[str, ...]:
        found = self.texts(place, what)
        for each in found:
            if mistake := check(each.value):
                self.mistakes.add(
                    each, f"an entry of {what} cannot be used: {mistake[0]}", mistake[1]
                )
        return tuple(dict.fromkeys(each.value for each in found))

    def text(self, place: Placed, what: str, *, longest: int = MAX_TEXT) -> str:
        if not isinstance(place.value, str) or not place.value.strip():
            self.mistakes.add(place, f"{what} must be a text", "Put it in quotes.")
            return ""
        if len(place.value) > longest:
            self.mistakes.add(place, f"{what} is longer than {longest} characters", "Shorten it.")
        return place.value

    def word(self, place: Placed, what: str, known: type[_Word]) -> _Word | None:
        for each in known:
            if place.value == each.value:
                return each
        listed = ", ".join(known)
        shown = str(place.value)[:60] if isinstance(place.value, str | int | float) else "this"
        self.mistakes.add(place, f"{what} cannot be `{shown}`", f"One of: {listed}.")
        return None

    def flag(self, place: Placed, what: str) -> bool:
        if not isinstance(place.value, bool):
            self.mistakes.add(place, f"{what} must be true or false", "Write true or false.")
            return False
        return place.value

    def number(
        self, place: Placed, what: str, *, low: float, high: float, is_whole: bool = False
    ) -> int | float:
        value = place.value
        kinds = int if is_whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            kind = "a whole number" if is_whole else "a number"
            what = f"{what} must be {kind} from {low:g} to {high:g}"
            self.mistakes.add(place, what, "Write digits without quotes or unit.")
            return low
        return value
