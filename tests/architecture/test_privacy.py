"""What an app keeps to itself: its rows, its moves, its workers' code, its doors."""

import grimp
import pytest

from tests.architecture.source import APPS, SERVER

PRIVATE = ("models", "execution", "journal", "transitions", "tasks", "admin", "management")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*SERVER, exclude_type_checking_imports=True)


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _is_allowed(*, importer: str, app: str, part: str) -> bool:
    """An app sees all of itself; models may point down at models with a typed foreign key."""
    of_other_app = importer.split(".")
    return of_other_app[0] == app or (part == "models" and of_other_app[1:2] == ["models"])


@pytest.mark.parametrize("app", [app for app in APPS if app != "core"])
def test_nobody_outside_an_app_imports_what_is_private_to_it(
    app: str, graph: grimp.ImportGraph
) -> None:
    found = {
        f"{importer} -> {module}"
        for part in PRIVATE
        for module in graph.modules
        if _is_within(module, f"{app}.{part}")
        for importer in graph.find_modules_that_directly_import(module)
        if not _is_allowed(importer=importer, app=app, part=part)
    }

    assert found == set()


def test_nobody_imports_the_site(graph: grimp.ImportGraph) -> None:
    found = {
        f"{importer} -> {module}"
        for module in graph.modules
        if _is_within(module, "agentry_site")
        for importer in graph.find_modules_that_directly_import(module)
        if not _is_within(importer, "agentry_site")
    }

    assert found == set()
