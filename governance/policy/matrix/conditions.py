"""What a rule asks of arguments: a path to values, and tests of them."""

import re
from collections.abc import Mapping

from governance.policy.matrix.globs import mistake_in_glob
from governance.policy.matrix.model import MAX_EXACT, Condition, Each, Scalar, Step, Test, TestKind
from governance.policy.matrix.patterns import PatternError, parse_pattern
from governance.policy.matrix.reading import Reader
from governance.policy.placed import Placed

TEST_KEYS = ("equals", "glob", "regex", "min", "max")
CONDITION_KEYS = (*TEST_KEYS, "not", "present")

_PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+|\[(\*|[0-9]{1,4})\])*")
_STEP = re.compile(r"[A-Za-z0-9_-]+|\[\*\]|\[[0-9]+\]")
UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ue000-\uf8ff]")
MAX_STEPS = 8
MAX_SCALAR = 2000


def is_path(text: str) -> bool:
    """Say whether an argument can be named like this."""
    return bool(_PATH.fullmatch(text)) and len(_STEP.findall(text)) <= MAX_STEPS


def read_condition(reader: Reader, path: str, place: Placed) -> Condition:
    """Return what is asked of the values under one argument path."""
    mistakes = reader.mistakes
    if not is_path(path):
        what = f"`{path[:60]}` is not a path to an argument"
        mistakes.add_at_key(place, what, "Write `name`, `name.inner`, `list[0]` or `list[*].name`.")
    steps = tuple(_step(step) for step in _STEP.findall(path))
    if not isinstance(place.value, dict):
        mistakes.add(place, f"`{path[:60]}` has no test", "Write `{equals: …}`, for example.")
        return Condition(path=steps)
    keys = mistakes.mapping(place, "a test", CONDITION_KEYS)
    if not place.value:
        mistakes.add(place, "this test is empty", f"Use one of: {', '.join(CONDITION_KEYS)}.")
    tests = _tests(reader, keys)
    if "not" in keys:
        inner = mistakes.mapping(keys["not"], "`not`", TEST_KEYS)
        if len(inner) != 1:
            what = "`not` takes one test"
            mistakes.add_at_key(keys["not"], what, "Write two rules for two tests.")
        tests += _tests(reader, inner, is_negated=True)
    is_present = None
    if "present" in keys:
        is_present = reader.flag(keys["present"], "`present`")
        if tests and not is_present:
            what = "what is not present cannot be tested"
            mistakes.add_at_key(keys["present"], what, "Remove one of the two.")
    return Condition(path=steps, tests=tests, is_present=is_present)


def _step(text: str) -> Step:
    if text == Each.EACH.value:
        return Each.EACH
    return int(text[1:-1]) if text.startswith("[") else text


def _tests(
    reader: Reader, keys: Mapping[str, Placed], *, is_negated: bool = False
) -> tuple[Test, ...]:
    found: list[Test] = []
    if "equals" in keys:
        scalars = _scalars(reader, keys["equals"])
        found.append(Test(kind=TestKind.EQUALS, is_negated=is_negated, scalars=scalars))
    if "glob" in keys:
        globs = reader.globs(keys["glob"], "`glob`", mistake_in_glob)
        found.append(Test(kind=TestKind.GLOB, is_negated=is_negated, globs=globs))
    if "regex" in keys:
        place = keys["regex"]
        try:
            pattern = parse_pattern(reader.text(place, "`regex`"))
        except PatternError as error:
            reader.mistakes.add(place, f"`regex` cannot be used: {error.what}", error.remedy)
        else:
            found.append(Test(kind=TestKind.REGEX, is_negated=is_negated, pattern=pattern))
    for key, kind in (("min", TestKind.MIN), ("max", TestKind.MAX)):
        if key in keys:
            bound = reader.number(keys[key], f"`{key}`", low=-MAX_EXACT, high=MAX_EXACT)
            found.append(Test(kind=kind, is_negated=is_negated, bound=bound))
    if "min" in keys and "max" in keys and found[-2].bound > found[-1].bound:
        what = "`min` is above `max`"
        reader.mistakes.add_at_key(keys["min"], what, "No number fits; change one of them.")
    return tuple(found)


def _scalars(reader: Reader, place: Placed) -> tuple[Scalar, ...]:
    entries = place.value if isinstance(place.value, list) else [place]
    if not entries:
        reader.mistakes.add_at_key(place, "`equals` is empty", "Give a value or a list of values.")
    found: list[Scalar] = []
    for each in entries:
        value = each.value
        if isinstance(value, list | dict):
            what = "`equals` compares texts, numbers, true, false and null"
            reader.mistakes.add(each, what, "Test the values inside, by their paths.")
        elif isinstance(value, str) and (len(value) > MAX_SCALAR or UNUSABLE.search(value)):
            what = f"longer than {MAX_SCALAR} characters, or with control or private ones"
            reader.mistakes.add(each, what, "Use `glob` for the part that matters.")
        elif isinstance(value, int | float) and abs(value) > MAX_EXACT:
            what = "engines would round this number"
            reader.mistakes.add(each, what, f"Stay within {MAX_EXACT}.")
        else:
            found.append(value)
    return tuple(found)
