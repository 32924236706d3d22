"""Draw the state tables into the documentation: the block between two marks in each page."""

import os
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- states: {} -->", "<!-- /states -->"


def _runs() -> str:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    django.setup()
    from agents.transitions import RUN_TABLE

    return RUN_TABLE.mermaid()


def _calls() -> str:
    from plugins.ledger import LEDGER

    return LEDGER.mermaid()


def _approvals() -> str:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    django.setup()
    from governance.transitions import APPROVAL_TABLE

    return APPROVAL_TABLE.mermaid()


DIAGRAMS: dict[str, tuple[str, Callable[[], str]]] = {
    "docs/concepts/runs.md": ("run", _runs),
    "docs/concepts/tools.md": ("tool call", _calls),
    "docs/concepts/approvals.md": ("approval", _approvals),
}


def drawn(page: str, name: str, diagram: str) -> str:
    """Return `page` with its diagram replaced.

    Raises:
        ValueError: The page has no such marks.
    """
    begin = BEGIN.format(name)
    before, mark, rest = page.partition(begin)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"The page has no place for the states of a {name}: {begin} … {END}")
    return f"{before}{begin}\n```mermaid\n{diagram}\n```\n{END}{after}"


if __name__ == "__main__":
    for place, (name, draw) in DIAGRAMS.items():
        path = ROOT / place
        path.write_text(drawn(path.read_text(encoding="utf-8"), name, draw()), encoding="utf-8")
