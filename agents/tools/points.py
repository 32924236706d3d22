"""Named points a file change passes, so that a test can stop, kill or interfere exactly there."""

from collections.abc import Callable

STAGED = "staged"  # every new content lies in the staging folder
PLANNED = "planned"  # the intent is durable
APPLIED = "applied"  # one file reached its new content; reported once for each file
RECORDED = "recorded"  # the result is durable under the call's key
CLEARED = "cleared"  # the intent is forgotten

OPENING = "opening"  # before each component of a path is opened
OPENED_PARENT = "opened_parent"  # the folder is open, the file in it is not

CHANGE_POINTS = (STAGED, PLANNED, APPLIED, RECORDED, CLEARED)


def _pass(point: str, detail: str) -> None:
    return None


hook: Callable[[str, str], None] = _pass


def reached(point: str, detail: str = "") -> None:
    """Tell the hook that `point` was reached; what the hook raises ends the call there."""
    hook(point, detail)
