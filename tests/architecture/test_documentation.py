"""Every page of the documentation can be found, and the first page promises what is there."""

import re
from collections.abc import Callable

import pytest

from scripts.generate_reference import FILES
from tests.architecture.source import ROOT


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}

    assert pages - listed == set(), "not in the navigation of mkdocs.yml"
    assert listed - pages == set(), "in the navigation, but not there"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in target]

    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_picture_is_shown_small_and_told_in_words() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = [
        (words, (page.parent / target).resolve())
        for page in pages
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", page.read_text("utf-8"))
    ]
    pictures = {path.resolve() for path in (ROOT / "docs" / "images").iterdir()}

    assert {path for _, path in shown} == pictures
    assert [path.name for words, path in shown if len(words) < 20] == []
    assert [path.name for path in pictures if path.stat().st_size > 250_000] == []


def test_every_command_of_the_makefile_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) - {"help"}
    helped = set(re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE))

    assert targets == helped
    assert len(targets) <= 18


def test_every_decision_has_its_own_number_and_is_in_the_index() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("0*.md"))
    index = (ROOT / "docs" / "adr" / "index.md").read_text(encoding="utf-8")

    assert numbers == list(dict.fromkeys(numbers)), "two decisions have the same number"
    assert [number for number in numbers if f"({number:04d}-" not in index] == []


@pytest.mark.parametrize(("name", "page"), sorted(FILES.items()))
def test_the_reference_says_what_the_classes_say(name: str, page: Callable[[], str]) -> None:
    written = (ROOT / name).read_text(encoding="utf-8")

    assert written == page(), f"{name} is out of date; run: make env"
