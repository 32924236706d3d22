"""Write docs/reference/problems.md and docs/reference/events.md from the classes they describe."""

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from core.errors import DomainError

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("core", "governance", "observability", "plugins", "agents", "agentry_site")

# What the frameworks below us refuse before our code is asked: code -> status, meaning, remedy.
FRAMEWORK = {
    "internal_error": (
        500,
        "A defect of the site. What happened is in its log only, under `error_id`.",
        "Report it with that id; sending the same request again is safe with an Idempotency-Key.",
    ),
    "method_not_allowed": (
        405,
        "The address does not know this method.",
        "See the API's description for the methods it knows.",
    ),
    "not_acceptable": (
        406,
        "The answer does not exist in a form the Accept header allows.",
        "Accept `application/json`, or `text/event-stream` where there is a stream.",
    ),
    "unsupported_media_type": (
        415,
        "The body has a form the address does not read.",
        "Send `application/json`.",
    ),
}

_KIND = re.compile(r'^\s+[A-Z_]+ = "(?P<kind>[a-z_.]+)"  # (?P<meaning>.+)$', re.MULTILINE)


def problems_page() -> str:
    """Return the page of problem codes: one heading a code, which problem documents link to."""
    lines = [
        "# Problems",
        "",
        "This page is generated from the error classes by `make env`.",
        "",
        "Whatever is refused is answered with a problem document (RFC 9457). `code` is stable:",
        "branch on it, never on the sentence. `detail` says what happened and `remedy` what to do;",
        "`errors` names the places of wrong input. Codes that a call or a run ends with, rather",
        "than a request, are among them: they stand in the run's `error_code` or in its events.",
    ]
    for code, (status, meaning, remedy) in sorted(problems().items()):
        lines += [
            "",
            f"## {code}",
            "",
            f"Status {status}. {meaning}",
            "",
            f"*What to do:* {remedy}",
        ]
    return "\n".join(lines) + "\n"


def problems() -> dict[str, tuple[int, str, str]]:
    """Return status, meaning and remedy by code; the class that introduces a code describes it.

    Raises:
        ValueError: an error class does not say what it means and, in a second paragraph, what
            to do.
    """
    found = dict(FRAMEWORK)
    for error in _error_classes():
        if "code" not in vars(error):
            continue
        meaning, _, remedy = inspect.cleandoc(vars(error).get("__doc__") or "").partition("\n\n")
        if not meaning or not remedy:
            raise ValueError(
                f"{error.__module__}.{error.__name__} needs two paragraphs: what it means, and "
                "what to do."
            )
        found.setdefault(error.code, (error.status, _one_line(meaning), _one_line(remedy)))
    return found


def _error_classes() -> Iterator[type["DomainError"]]:
    import agentry_site.urls  # noqa: F401 - brings in every module that raises something
    from core.errors import DomainError

    waiting: list[type[DomainError]] = list(DomainError.__subclasses__())
    while waiting:
        error = waiting.pop(0)
        waiting += error.__subclasses__()
        if error.__module__.split(".")[0] in PACKAGES:
            yield error


def events_page() -> str:
    """Return the page of event kinds, with the meaning that stands beside each in the code."""
    lines = [
        "# Events",
        "",
        "This page is generated from `observability/contracts.py` by `make env`.",
        "",
        "A trace is the list of a run's events: append-only, numbered by `sequence` without gaps,",
        "each committed together with the state it tells of. The same events come as pages",
        "(`/api/v1/workspaces/{workspace}/runs/{run}/events`), as server-sent events and over",
        "WebSocket, with one cursor. See [live views](../concepts/live.md).",
        "",
        "| kind | what happened |",
        "|---|---|",
    ]
    lines += [f"| `{kind}` | {meaning} |" for kind, meaning in events().items()]
    lines += [
        "",
        "A trace ends with the `run.state` event whose `is_terminal` is true; only a person can",
        "make a run go on after it, and then the trace goes on too.",
        "",
        "Fragments of a model's answer on its way (`delta`) are no events: they are never stored,",
        "may be lost, and are replaced by the `step.model` event that follows them.",
    ]
    return "\n".join(lines) + "\n"


def events() -> dict[str, str]:
    """Return the meaning of each event kind.

    Raises:
        ValueError: a kind has no meaning beside it.
    """
    from observability.contracts import EventKind

    meanings = {m["kind"]: m["meaning"] for m in _KIND.finditer(inspect.getsource(EventKind))}
    if silent := [kind.value for kind in EventKind if kind.value not in meanings]:
        raise ValueError(f"Without a meaning in observability/contracts.py: {', '.join(silent)}")
    return {kind.value: meanings[kind.value] for kind in EventKind}


def _one_line(text: str) -> str:
    return " ".join(text.split())


FILES = {"docs/reference/problems.md": problems_page, "docs/reference/events.md": events_page}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    django.setup()
    for name, text in FILES.items():
        (ROOT / name).write_text(text(), encoding="utf-8")
