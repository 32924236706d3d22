"""Values people write on the command line as NAME=VALUE."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from agentry.cli.invocation import usage_error

# The contract's names, and the short ones people use.
_LIMITS = {
    "max_iterations": "max_iterations",
    "iterations": "max_iterations",
    "max_tokens": "max_tokens",
    "tokens": "max_tokens",
    "max_cost_usd": "max_cost_usd",
    "cost_usd": "max_cost_usd",
    "wall_seconds": "wall_seconds",
}
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def pairs_of(values: Sequence[str] | None, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values or ():
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise usage_error(f"{option} {value!r} is not NAME=VALUE.")
        if name in pairs:
            raise usage_error(f"{option} {name} is given twice.")
        pairs[name] = text
    return pairs


def limits_of(values: Sequence[str] | None) -> dict[str, int | float | str]:
    limits: dict[str, int | float | str] = {}
    for name, text in pairs_of(values, "--limit").items():
        if name not in _LIMITS:
            raise usage_error(
                f"There is no limit {name!r}.",
                "Known: iterations, tokens, cost_usd, wall_seconds.",
            )
        limits[_LIMITS[name]] = _limit(name, text)
    return limits


def _limit(name: str, text: str) -> int | float | str:
    """The value of a limit; complaints name it the way it was written."""
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise usage_error(f"--limit {name}={text}: {text!r} is not a number.") from error
    if not number.is_finite() or number <= 0:
        raise usage_error(f"--limit {name}={text}: it must be more than zero.")
    if _LIMITS[name] == "max_cost_usd":
        return str(number)
    if name == "wall_seconds":
        return float(number)
    if number != int(number):
        raise usage_error(f"--limit {name}={text}: it must be a whole number.")
    return int(number)


def seconds_of(text: str, option: str) -> int:
    """Seconds from `90s`, `30m`, `12h` or `7d`."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if match is None:
        raise usage_error(f"{option} {text!r} is not a duration.", "Write 90s, 30m, 12h or 7d.")
    return int(match[1]) * _UNITS[match[2]]
