"""What pages of the console are made of: pills, moments, links, amounts, JSON, as safe HTML.

How a state looks is in the style sheet and the icon sprite, by its word (`is-running`,
`#state-running`); the word is always shown, so that colour is never the only signal.
"""

import difflib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.contrib.admin import display
from django.templatetags.static import static
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core import clock

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

Column: TypeAlias = Callable[[Any, Any], SafeString | str]

NOTHING: Final = "–"
WITHHELD: Final = _("Hidden: seeing it takes the permission run.payload.")
SPRITE: Final = "console/icons.svg"

_UNITS: Final = ((86_400, _("d")), (3_600, _("h")), (60, _("min")))
_OLD_SECONDS: Final = 30 * 86_400


def icon(name: str) -> SafeString:
    """Return a decorative icon of the sprite; screen readers skip it."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static(SPRITE), name
    )


def told(word: str) -> str:
    """Return a word of the code, such as a state, in the language of who reads it."""
    return gettext(word.replace("_", " "))


def pill(word: str, *, label: str = "") -> SafeString:
    """Return a state as an icon and a word."""
    return format_html(
        '<span class="pill is-{}">{}<span class="pill-word">{}</span></span>',
        word,
        icon(f"state-{word}"),
        label or told(word),
    )


_EFFECTS: Final = {"allow": "approved", "ask": "waiting", "deny": "denied"}


def effect_pill(effect: str) -> SafeString:
    """Return what a policy says of a call; the colour repeats the word."""
    return pill(_EFFECTS.get(effect, "off"), label=told(effect))


def no_sandbox() -> SafeString:
    """Return the warning beside whatever runs on its host without a sandbox."""
    return pill("unprotected", label=gettext("no sandbox"))


def moment(at: datetime | None) -> SafeString | str:
    """Return a time relative to now, with the exact one on hover; the page keeps it current."""
    if at is None:
        return NOTHING
    exact = f"{date_format(at, 'j M Y, H:i:s')} UTC"
    return format_html(
        '<time datetime="{}" title="{}" data-moment>{}</time>', at.isoformat(), exact, relative(at)
    )


def moment_column(field: str, title: "StrOrPromise") -> Column:
    """Make the column of an admin class that shows this time of its rows."""

    @display(description=title, ordering=field)
    def shown(page: Any, row: Any) -> SafeString | str:
        return moment(getattr(row, field))

    return shown


def switch_column() -> Column:
    """Make the column of an admin class that shows whether its rows are switched on."""

    @display(description=_("State"), ordering="is_enabled")
    def shown(page: Any, row: Any) -> SafeString | str:
        return pill("on" if row.is_enabled else "off")

    return shown


def row_link(page: str, key: object, label: object) -> SafeString:
    """Return a link to a row's own page; `page` names its app and model, such as agents_run."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{page}_change", args=[key]), label)


def relative(at: datetime) -> str:
    """Return how long ago, or how long until, in one unit; old times as a date."""
    seconds = (clock.now() - at).total_seconds()
    distance = abs(seconds)
    if distance >= _OLD_SECONDS:
        return date_format(at, "j M Y")
    amount = next(
        (f"{int(distance // size)} {unit}" for size, unit in _UNITS if distance >= size),
        gettext("%(n)s s") % {"n": int(distance)},
    )
    return (
        gettext("%(amount)s ago") % {"amount": amount}
        if seconds >= 0
        else gettext("in %(amount)s") % {"amount": amount}
    )


def duration(seconds: float) -> str:
    """Return a span in at most two units."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return gettext("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    return gettext("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}


def count(number: int) -> str:
    """Return a number that fits a column: 950, 12.3k, 4.1M."""
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if number >= size:
            scaled = number / (1_000_000 if unit == "M" else 1_000)
            return f"{scaled:.1f}{unit}"
    return f"{number:,}".replace(",", "\u202f")


_LEAST_SHOWN: Final = Decimal("0.0001")


def money(usd: Decimal, *, is_partial: bool = False) -> SafeString | str:
    """Return dollars; a floor, where some prices are unknown, is marked and says so."""
    digits = 2 if usd >= 1 or not usd else 4
    text = f"${usd:.{digits}f}" if not 0 < usd < _LEAST_SHOWN else f"<${_LEAST_SHOWN}"
    if not is_partial:
        return text
    return format_html(
        '<span title="{}">≥ {}</span>', gettext("Some calls had no known price."), text
    )


def short_id(identifier: object) -> SafeString:
    """Return the telling end of an id in fixed width, the whole on hover."""
    text = str(identifier)
    return format_html('<code class="id" title="{}">{}</code>', text, text[-8:])


def pretty_json(value: Any, *, width: int = 76, indent: str = "") -> str:
    """Return JSON that opens a list or an object only where it does not fit its line."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    if len(indent) + len(line) <= width or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, list):
        items = [inner + pretty_json(item, width=width, indent=inner) for item in value]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    members = [
        f"{inner}{json.dumps(str(name), ensure_ascii=False)}: "
        + pretty_json(item, width=width, indent=inner)
        for name, item in value.items()
    ]
    return "{\n" + ",\n".join(members) + f"\n{indent}}}"


def json_block(value: Any) -> SafeString:
    return format_html('<pre class="block">{}</pre>', pretty_json(value))


def text_block(text: str) -> SafeString:
    return format_html('<pre class="block">{}</pre>', text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a difference; the sign repeats what the colour says."""

    sign: str
    kind: str
    text: str


_KINDS: Final = {"+": "added", "-": "removed", "@": "place"}
_AROUND: Final = 3
_LONG: Final = 200
_MOST_ALIKE: Final = 200_000


def difference_line(line: str) -> Line:
    """Return a line of a unified difference below the names of its files."""
    kind = _KINDS.get(line[:1])
    if kind is None:
        return Line(sign=" ", kind="same", text=line.removeprefix(" "))
    return Line(sign=line[:1], kind=kind, text=line[1:])


def text_difference(before: str, after: str) -> tuple[Line, ...]:
    """Return the changed lines between two texts, with three lines around each.

    Of texts with very many lines alike, which take minutes to compare, all between the first and
    the last difference is told as changed.
    """
    old, new = before.splitlines(), after.splitlines()
    lines: Iterable[str]
    if _alike(old, new) > _MOST_ALIKE:
        lines = _from_first_to_last(old, new)
    else:
        lines = islice(difflib.unified_diff(old, new, lineterm="", n=_AROUND), 2, None)
    return tuple(difference_line(line) for line in lines)


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    """Count the pairs of equal lines, which is what comparing costs; `difflib` passes over those
    that make more than a hundredth of a long text."""
    counts, most = Counter(old), len(new) // 100 + 1 if len(new) >= _LONG else len(new)
    return sum(number * counts[line] for line, number in Counter(new).items() if number <= most)


def _from_first_to_last(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Yield one block of a unified difference."""
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    rest = shorter - head
    tail = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    if head == len(old) == len(new):
        return
    begin = max(head - _AROUND, 0)
    ends = [len(lines) - tail + min(tail, _AROUND) for lines in (old, new)]
    yield "@@ -{0},{1} +{0},{2} @@".format(begin + 1, *(end - begin for end in ends))
    yield from (f" {line}" for line in old[begin:head])
    yield from (f"-{line}" for line in old[head : len(old) - tail])
    yield from (f"+{line}" for line in new[head : len(new) - tail])
    yield from (f" {line}" for line in old[len(old) - tail : ends[0]])
