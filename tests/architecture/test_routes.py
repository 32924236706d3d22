"""Every address is guarded, or is on a short list with the reason why anybody may ask it."""

import pytest
from rest_framework.views import APIView

from tests.architecture.routes import Route, http_routes
from tests.architecture.source import need

# Addresses anybody may ask, each with the reason. A stale entry fails.
PUBLIC: dict[str, str] = {
    "/": "leads to the console, which asks who it is",
    "/api/v1/docs": "the API's description as a page; it holds no data",
    "/api/v1/openapi.json": "the API's description; clients are generated from it",
    "/docs/reference/problems": "what the codes mean; whoever is refused may read it",
    "/healthz": "a process supervisor has no token, and is told `ok`",
    "/metrics": "a scraper has no account; it shows the site's metrics token, or is on the machine",
    "/readyz": "a load balancer has no token, and is told which part does not answer",
    "/version": "clients ask it before they sign in",
}

# Pages of the console that must be reachable before signing in.
BEFORE_SIGN_IN = {"login", "jsi18n"}


def _is_rest(route: Route) -> bool:
    is_rest = route.view_class is not None and issubclass(route.view_class, APIView)
    return is_rest and route.path not in PUBLIC


def _is_console(route: Route) -> bool:
    return route.namespaces[:1] == ("admin",)


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    found = http_routes()
    assert found, "the site has no routes"
    return found


def test_every_rest_view_is_guarded(routes: list[Route]) -> None:
    need("governance.guard.permissions")
    from governance.guard.permissions import Guarded

    unguarded = [
        route.path
        for route in routes
        if _is_rest(route)
        if not any(
            isinstance(permission, type) and issubclass(permission, Guarded)
            for permission in getattr(route.view_class, "permission_classes", ())
        )
    ]

    assert unguarded == []


def test_every_rest_action_declares_its_permission(routes: list[Route]) -> None:
    undeclared = {
        f"{route.path} {action}"
        for route in routes
        if _is_rest(route)
        for action in route.actions.values()
        if action not in getattr(route.view_class, "perms", {})
    }

    assert undeclared == set()


def test_no_rest_view_declares_a_permission_for_what_it_does_not_do(routes: list[Route]) -> None:
    actions: dict[type, set[str]] = {}
    for route in routes:
        if _is_rest(route) and route.view_class is not None:
            actions.setdefault(route.view_class, set()).update(route.actions.values())
    stale = {
        f"{view.__name__}.{name}"
        for view, done in actions.items()
        for name in set(getattr(view, "perms", {})) - done - {"head"}
    }

    assert stale == set()


def test_every_other_view_is_on_the_public_list(routes: list[Route]) -> None:
    others = {route.path for route in routes if not _is_rest(route) and not _is_console(route)}

    assert others - set(PUBLIC) == set()


def test_the_public_list_names_only_what_exists(routes: list[Route]) -> None:
    assert set(PUBLIC) - {route.path for route in routes} == set()


def test_every_console_page_asks_who_is_there(routes: list[Route]) -> None:
    """Django checks who is there in `admin_view`, through which a page has to go."""
    open_pages = [
        route.path
        for route in routes
        if _is_console(route)
        and not _is_wrapped(route)
        and route.path.removeprefix("/admin/").strip("/^$") not in BEFORE_SIGN_IN
    ]

    assert open_pages == []


def _is_wrapped(route: Route) -> bool:
    if hasattr(route.callback, "admin_site") or hasattr(route.callback, "model_admin"):
        return True  # the site's and the pages' own addresses
    # What a page adds goes through admin_view by hand, which leaves a trace in the closures only.
    layer, seen = [route.callback], set[int]()
    while layer:
        view = layer.pop()
        if id(view) in seen or not hasattr(view, "__code__"):
            continue
        seen.add(id(view))
        if view.__code__.co_qualname.startswith("AdminSite.admin_view"):
            return True
        layer += [cell.cell_contents for cell in view.__closure__ or ()]
    return False
