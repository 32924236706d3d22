"""Write `.env.example` and docs/reference/env.md from the table in core/variables."""

from itertools import groupby
from pathlib import Path

from core.env import FOREIGN
from core.variables import VARIABLES, Variable

ROOT = Path(__file__).resolve().parents[1]

_KINDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "1 or 0",
    "list": "list, with commas",
    "path": "path",
    "url": "URL",
    "secret": "secret",
}


def env_example() -> str:
    """Return a file to copy to `.env`: every variable, commented out, with its default."""
    lines = [
        "# Every variable the site reads, with its default. Uncomment what you change.",
        "# NAME_FILE instead of NAME reads the value from a file. Generated: make env",
    ]
    for section, variables in _sections():
        lines += ["", f"# ── {section}"]
        for variable in variables:
            lines += [f"# {variable.help}", f"#{variable.name}={variable.default}"]
    return "\n".join(lines) + "\n"


def env_page() -> str:
    """Return the reference page: a table a section."""
    lines = [
        "# Environment variables",
        "",
        "This page is generated from the table in `core/variables` by `make env`.",
        "",
        "Each variable is declared once, with a type and a default. An `AGENTRY_` variable that is",
        "not listed stops the start, with a suggestion if the name is close to a known one. Any of",
        "them can be read from a file instead: set `NAME_FILE` to its path (for secrets mounted",
        "into a container). Setting both is an error.",
    ]
    for section, variables in _sections():
        lines += [
            "",
            f"## {section}",
            "",
            "| variable | type | default | meaning |",
            "|---|---|---|---|",
        ]
        for variable in variables:
            default = f"`{variable.default}`" if variable.default else "empty"
            meaning = variable.help.replace("|", "\\|")
            lines.append(f"| `{variable.name}` | {_KINDS[variable.kind]} | {default} | {meaning} |")
    names = ", ".join(f"`{name}`" for name in sorted(FOREIGN))
    lines += [
        "",
        "## Not for the site",
        "",
        f"The client, the command line and the tests read these; the site ignores them: {names}.",
    ]
    return "\n".join(lines) + "\n"


def _sections() -> list[tuple[str, list[Variable]]]:
    grouped = groupby(VARIABLES, key=lambda variable: variable.section)
    return [(section, list(variables)) for section, variables in grouped]


FILES = {".env.example": env_example, "docs/reference/env.md": env_page}

if __name__ == "__main__":
    for name, render in FILES.items():
        (ROOT / name).write_text(render(), encoding="utf-8")
