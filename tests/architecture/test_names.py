"""Our package names are ordinary words; another installed package must not answer to them."""

import importlib.util
from pathlib import Path

import pytest

from tests.architecture.source import LIBRARY, ROOT


@pytest.mark.parametrize("package", [*LIBRARY, "tests"])
def test_a_top_level_name_resolves_to_this_checkout(package: str) -> None:
    spec = importlib.util.find_spec(package)

    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).parent == ROOT / package


@pytest.mark.parametrize("package", LIBRARY)
def test_the_front_page_of_a_package_imports_nothing_of_django(package: str) -> None:
    """It runs before every pure module below it."""
    lines = (ROOT / package / "__init__.py").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if "django" in line] == []
