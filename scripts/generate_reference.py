"""Write the pages of problems, events and metrics, and schemas, from what they describe."""

import inspect
import json
import os
import re
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[1]
_KIND = re.compile(r'^\s+[A-Z_]+ = "(?P<kind>[a-z_.]+)"  # (?P<meaning>.+)$', re.MULTILINE)


def problems_page() -> str:
    """Return the page of codes: one heading a code, which problem documents link to."""
    from agentry_site.problems import problems

    lines = [
        "# Problems",
        "",
        "This page is generated from the error classes and the table of the runs' own codes by",
        "`make env`.",
        "",
        "Whatever is refused is answered with a problem document (RFC 9457). `code` is stable:",
        "branch on it, never on the sentence. `detail` says what happened and `remedy` what to do;",
        "`errors` names the places of wrong input. A run that ended, was parked or went on with a",
        "remark carries its code in `error_code`: one of its own, which say so below, or that of",
        "the error it met, such as `provider_auth`. Codes that a call ends with stand in its",
        "events.",
    ]
    for problem in problems():
        lines += [
            "",
            f"## {problem.code}",
            "",
            f"{problem.where} {problem.meaning}",
            "",
            f"*What to do:* {problem.remedy}",
        ]
    return "\n".join(lines) + "\n"


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


def metrics_page() -> str:
    """Return the page of metrics, from their table."""
    from core.metrics.table import METRICS, Source

    lines = [
        "# Metrics",
        "",
        "This page is generated from `core/metrics/table.py` by `make env`. What to do with them,",
        "and who may read them, is in [telemetry](../operate/telemetry.md).",
    ]
    for source, title, words in (
        (Source.PROCESS, "Counted by processes", "Added up over all processes of a machine."),
        (
            Source.DATABASE,
            "Asked of the database",
            "The same from every machine that is scraped: take their `max`, never their `sum`.",
        ),
    ):
        lines += ["", f"## {title}", "", words, ""]
        lines += ["| metric | type | labels | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{metric.name}` | {metric.kind} | "
            f"{', '.join(f'`{label}`' for label in metric.labels) or '—'} | {metric.help} |"
            for metric in METRICS
            if metric.source is source
        ]
    return "\n".join(lines) + "\n"


def policy_schema() -> str:
    """Return the JSON Schema of permission matrices."""
    from governance.policy.matrix.schema import matrix_schema

    return json.dumps(matrix_schema(), indent=2) + "\n"


def tool_schema() -> str:
    """Return the JSON Schema of declared tools."""
    from plugins.services.manifest_schema import manifest_schema

    return json.dumps(manifest_schema(), indent=2) + "\n"


FILES = {
    "docs/reference/problems.md": problems_page,
    "docs/reference/events.md": events_page,
    "docs/reference/metrics.md": metrics_page,
    "docs/reference/policy-matrix.schema.json": policy_schema,
    "docs/reference/tool.schema.json": tool_schema,
}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    django.setup()
    for name, text in FILES.items():
        (ROOT / name).write_text(text(), encoding="utf-8")
