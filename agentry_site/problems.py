"""What every code means: read from the error classes, the runs' own table and what lies below us.

The reference page is generated from here, and the site answers the `type` of its problem documents
from here, so the two cannot differ.
"""

import inspect
from collections.abc import Iterator
from functools import cache

import msgspec

from agents.contracts import RUN_ERRORS
from core.errors import DomainError

PACKAGES = (
    "core", "governance", "observability", "sandbox", "plugins", "agents", "agentry_site",
)  # fmt: skip


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One code. `status` is there when a request can be answered with it, `run_state` when it is a
    run's own: the state the run is left in."""

    code: str
    meaning: str
    remedy: str
    status: int | None = None
    run_state: str | None = None

    @property
    def where(self) -> str:
        """Say in a sentence where the code is met."""
        if self.status is not None:
            return f"Status {self.status}."
        return f"In `error_code` of a run that is {self.run_state}."


# What the frameworks below us refuse before our code is asked.
FRAMEWORK = (
    Problem(
        code="internal_error",
        status=500,
        meaning="A defect of the site. What happened is in its log only, under `error_id`.",
        remedy="Report it with that id; sending the same request again is safe with an "
        "Idempotency-Key.",
    ),
    Problem(
        code="method_not_allowed",
        status=405,
        meaning="The address does not know this method.",
        remedy="See the API's description for the methods it knows.",
    ),
    Problem(
        code="not_acceptable",
        status=406,
        meaning="The answer does not exist in a form the Accept header allows.",
        remedy="Accept `application/json`, or `text/event-stream` where there is a stream.",
    ),
    Problem(
        code="unsupported_media_type",
        status=415,
        meaning="The body has a form the address does not read.",
        remedy="Send `application/json`.",
    ),
)


@cache
def problems() -> tuple[Problem, ...]:
    """Return every code in alphabetical order; the class that introduces a code describes it.

    Raises:
        ValueError: an error class does not say what it means and, in a second paragraph, what
            to do; or a run's own code is an error class's too.
    """
    found = {problem.code: problem for problem in FRAMEWORK}
    for error in _error_classes():
        if "code" in vars(error):
            found.setdefault(error.code, _described(error))
    for code, told in RUN_ERRORS.items():
        if code.value in found:
            raise ValueError(f"{code.value} is the code of an error class and of runs.")
        found[code.value] = Problem(
            code=code.value,
            run_state=told.state.value,
            meaning=told.meaning,
            remedy=told.remedy,
        )
    return tuple(found[code] for code in sorted(found))


def _described(error: type[DomainError]) -> Problem:
    meaning, _, remedy = inspect.cleandoc(vars(error).get("__doc__") or "").partition("\n\n")
    if not meaning or not remedy:
        raise ValueError(
            f"{error.__module__}.{error.__name__} needs two paragraphs: what it means, and "
            "what to do."
        )
    return Problem(
        code=error.code,
        status=error.status,
        meaning=" ".join(meaning.split()),
        remedy=" ".join(remedy.split()),
    )


def _error_classes() -> Iterator[type[DomainError]]:
    import agentry_site.urls  # noqa: F401 - brings in every module that raises something
    import sandbox.errors  # noqa: F401 - nothing the site imports has it yet

    waiting: list[type[DomainError]] = list(DomainError.__subclasses__())
    while waiting:
        error = waiting.pop(0)
        waiting += error.__subclasses__()
        if error.__module__.split(".")[0] in PACKAGES:
            yield error
