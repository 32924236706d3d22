"""A user of one workspace sees nothing of another, through any address the site answers.

Addresses come from the URL configuration and the console's registry, so that a new one is walked
without anybody remembering; a path parameter nobody has told about here fails.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import NoReverseMatch, reverse
from rest_framework.test import APIClient

from core.ids import new_id
from governance.models import Membership, Role, User, Workspace
from tests.architecture.routes import Route, http_routes
from tests.architecture.source import APPS
from tests.factories.agents import Tenancy, make_tenancy
from tests.factories.governance import issue, join, make_user, make_workspace

MARK = "zetazeta"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")

# What is sent where a body is needed before anything is looked for, by action or method and path.
BODIES: dict[str, Any] = {
    "post members": {"username": "someone", "roles": ["viewer"]},
    "patch members": {"roles": ["viewer"]},
    "post roles": {"name": "other", "permissions": ["run.view"]},
    "post providers": {"name": "p", "kind": "scripted"},
    "post models": {"name": "m", "provider": f"{MARK}-provider", "vendor_name": "v"},
    "post routes": {"if_contains": [""], "model": f"{MARK}-model"},
    "post tools": {"name": "t", "description": "d", "url": "https://x.example/"},
    "post agents": {"name": "a"},
    "post versions": {"spec": {}},
    "post invoke": {"input": "x"},
    "post sessions": {"agent": f"{MARK}-agent"},
    "post runs": {"agent": f"{MARK}-agent", "input": "x"},
    "post resolve": {"outcome": "failed"},
    "post apply": {"documents": []},
    "post decide": {"verdict": "approve"},
    "post grant": {"pattern": {}},
    "post revoke": {},
    "post delegations": {"delegate": "someone", "until_at": "2999-01-01T00:00:00Z"},
    "post end": {},
    "put policy": {"source": "rules: []"},
    "post publish": {},
    "post budgets": {"name": "b", "kind": "workspace", "limit_usd": "1"},
    "post raise": {"by_usd": "1"},
    "post secrets": {"name": "s", "value": "long enough to be one"},
    "post saved-filters": {"name": "f", "query": "state=failed"},
    "post rotate": {"value": "long enough to be one"},
}


class World:
    """Two workspaces full of rows; `theirs` are the rows of the one that must stay hidden."""

    def __init__(self) -> None:
        self.acme = make_workspace("acme")
        make_tenancy(self.acme, "acme")
        self.someone = join(self.acme, "someone", "admin").user
        User.objects.filter(pk=self.someone.pk).update(is_staff=True)
        self.root = make_user("root", is_superuser=True)
        before = _rows()
        self.zeta = make_workspace(MARK)
        self.member = join(self.zeta, f"{MARK}-user", "admin")
        self.role = Role.objects.create(
            workspace=self.zeta, name=f"{MARK}-role", permissions=["run.view"]
        )
        self.token = issue(self.member.user, workspace=self.zeta).token
        self.tenancy: Tenancy = make_tenancy(self.zeta, MARK)
        after = _rows()
        self.theirs = {model: after[model] - before[model] for model in after}

    def value(self, path: str, parameter: str) -> str:
        """Return what stands for the parameter in the address of one of their rows."""
        if parameter == "workspace":
            return self.zeta.name
        if parameter == "number" and "/policy/" in path:
            return str(self.tenancy.policy.number)
        if parameter == "number":
            return "1"
        before = re.search(rf"([^/<>]+)/<(?:\w+:)?{parameter}>", path)
        kind = before[1] if before else ""
        mine = self.tenancy
        known = {
            ("agents", "name"): mine.agent.name,
            ("providers", "name"): mine.provider.name,
            ("models", "name"): mine.model.name,
            ("tools", "name"): mine.tool.name,
            ("routes", "pk"): mine.route.pk,
            ("secrets", "name"): mine.secret.name,
            ("sessions", "pk"): mine.session.pk,
            ("runs", "pk"): mine.run.pk,
            ("tool-calls", "pk"): mine.call.pk,
            ("approvals", "pk"): mine.approval.pk,
            ("grants", "pk"): mine.grant.pk,
            ("delegations", "pk"): mine.delegation.pk,
            ("channels", "name"): mine.channel.name,
            ("budgets", "name"): mine.budget.name,
            ("deliveries", "pk"): mine.delivery.pk,
            ("saved-filters", "pk"): mine.saved_filter.pk,
            ("members", "pk"): self.member.pk,
            ("roles", "pk"): self.role.pk,
            ("tokens", "pk"): self.token.pk,
            ("users", "pk"): self.member.user_id,
            ("workers", "pk"): new_id(),  # of the site: nobody but a superuser learns of any
        }
        if (kind, parameter) not in known:
            pytest.fail(
                f"{path}: nobody has said what <{parameter}> stands for after {kind!r}; add it to "
                "World.value, so that this address is walked."
            )
        return str(known[kind, parameter])


def _rows() -> dict[type[Model], set[Any]]:
    return {
        model: set(model._base_manager.values_list("pk", flat=True))
        for app in APPS
        if apps.is_installed(app)
        for model in apps.get_app_config(app).get_models()
    }


def _content() -> dict[str, list[dict[str, Any]]]:
    """Everything stored, but for what merely asking leaves behind."""
    asked = {"last_used_at", "last_login"}
    return {
        model._meta.label: [
            {name: value for name, value in row.items() if name not in asked}
            for row in model._base_manager.order_by("pk").values()
        ]
        for model in _rows()
        if model._meta.label != "governance.IdempotencyRecord"
    }


@pytest.fixture
def world(db: None) -> World:
    return World()


@pytest.fixture(params=["a member", "a superuser with a token of the other workspace"])
def client(world: World, request: pytest.FixtureRequest) -> APIClient:
    user = world.someone if request.param == "a member" else world.root
    found = APIClient(raise_request_exception=False)
    found.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(user, workspace=world.acme).secret}")
    return found


def _routes() -> list[Route]:
    return [route for route in http_routes() if route.namespaces[:1] != ("admin",)]


def _methods(route: Route) -> list[str]:
    return sorted(route.actions) or ["get"]


def _body(method: str, path: str) -> Any:
    words = [part for part in path.split("/") if part and not part.startswith("<")]
    return BODIES.get(f"{method} {words[-1]}", {})


def _send(client: APIClient, method: str, address: str, body: Any) -> Any:
    if method == "get":
        return client.get(address)
    return getattr(client, method)(address, data=body, format="json")


def _text(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(content.decode("utf-8", "replace"))


def _address(world: World, path: str, workspace: str) -> str:
    def value(match: re.Match[str]) -> str:
        return workspace if match[1] == "workspace" else world.value(path, match[1])

    return _PARAMETER.sub(value, path)


def _reached(client: APIClient, address: str, method: str, path: str) -> str:
    """Return what is wrong with the answer for something of theirs, or nothing."""
    response = _send(client, method, address, _body(method, path))
    if response.status_code == 404:
        return ""
    if response.status_code == 403 and "<name:" not in path and "workspace>" not in path:
        # Closed to everybody like this user, whatever the id: then it tells nothing.
        nowhere = _PARAMETER.sub(str(new_id()), path)
        if _send(client, method, nowhere, _body(method, path)).status_code == 403:
            return ""
    if response.status_code == 401:
        # Signed messages are asked who sent them and nothing else; a channel that is not there
        # answers the same.
        nowhere = _send(client, method, address.replace(MARK, "nowhere"), _body(method, path))
        if _text(nowhere).replace("nowhere", MARK) == _text(response):
            return ""
    return f"{method} {address}: {response.status_code} {_text(response)[:200]}"


def _walk(
    world: World, client: APIClient, routes: Iterable[Route], workspace: str
) -> tuple[int, list[str]]:
    """Ask for their rows by way of this workspace; return how often, and what was wrong."""
    told = [
        _reached(client, _address(world, route.path, workspace), method, route.path)
        for route in routes
        for method in _methods(route)
    ]
    return len(told), [line for line in told if line]


def test_their_addresses_are_not_there(world: World, client: APIClient) -> None:
    before = _content()
    routes = [route for route in _routes() if _PARAMETER.search(route.path)]

    walked, wrong = _walk(world, client, routes, MARK)

    assert wrong == []
    assert walked > 60
    assert _content() == before


def test_their_rows_are_not_reached_through_ones_own_workspace(
    world: World, client: APIClient
) -> None:
    before = _content()
    routes = [
        route
        for route in _routes()
        if len(names := _PARAMETER.findall(route.path)) > 1 and "workspace" in names
    ]

    walked, wrong = _walk(world, client, routes, "acme")

    assert wrong == []
    assert walked > 40
    assert _content() == before


def test_nothing_of_theirs_is_in_what_one_may_read(world: World, client: APIClient) -> None:
    walked, leaks = 0, []
    for route in _routes():
        if set(_PARAMETER.findall(route.path)) - {"workspace"} or "get" not in _methods(route):
            continue
        response = client.get(_PARAMETER.sub("acme", route.path))
        walked += 1
        if MARK in _text(response):
            leaks.append(route.path)

    assert leaks == []
    assert walked > 15


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("post", "/spawn", {"template": "{agent}"}),
        ("post", "/invoke", {"agent_id": "{session}", "input": "x"}),
        ("post", "/kill", {"agent_id": "{session}"}),
        ("get", "/traces?agent_id={session}", {}),
        ("post", "/api/v1/tokens", {"name": "t", "workspace": MARK}),
        ("post", "/api/v1/workspaces/acme/sessions", {"agent": "{agent}"}),
        ("post", "/api/v1/workspaces/acme/runs", {"agent": "{agent}", "input": "x"}),
        (
            "post",
            "/api/v1/workspaces/acme/agents/acme-agent/invoke",
            {"input": "x", "session": "{session}"},
        ),
        ("get", "/api/v1/workspaces/acme/runs?session={session}", {}),
        ("get", "/api/v1/workspaces/acme/runs?root={run}", {}),
        ("get", "/api/v1/workspaces/acme/tool-calls?run={run}", {}),
    ],
)
def test_what_a_request_names_is_looked_for_in_ones_own_workspace(
    world: World, client: APIClient, method: str, address: str, body: dict[str, str]
) -> None:
    before = _content()
    names = {
        "agent": world.tenancy.agent.name,
        "session": str(world.tenancy.session.pk),
        "run": str(world.tenancy.run.pk),
    }
    filled = {
        name: value.format(**names) if "{" in value else value for name, value in body.items()
    }

    response = _send(client, method, address.format(**names), filled)

    if response.status_code == 200:
        assert response.json()["items"] == []
    else:
        assert response.status_code in {403, 404}, _text(response)
    assert _content() == before


def _console_pages(world: World) -> Iterator[tuple[str, str]]:
    """Yield each page of the console about one of their rows."""
    for model in admin.site._registry:
        place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for pk in world.theirs.get(model, set()):
            for page in ("change", "delete", "history"):
                try:
                    yield page, reverse(f"{place}_{page}", args=[pk])
                except NoReverseMatch:
                    continue


def test_no_page_of_the_console_shows_their_rows(world: World) -> None:
    client = Client()
    client.force_login(world.someone)
    before = _content()
    shown = [
        address
        for _, address in _console_pages(world)
        for response in (client.get(address), client.post(address, {"post": "yes"}))
        if response.status_code == 200
    ]

    assert shown == []
    assert _content() == before


def test_no_list_of_the_console_shows_their_rows(world: World) -> None:
    client = Client()
    client.force_login(world.someone)
    leaks, opened = [], 0
    for model in admin.site._registry:
        place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for page in ("changelist", "add"):
            try:
                address = reverse(f"{place}_{page}")
            except NoReverseMatch:
                continue
            response = client.get(address)
            opened += response.status_code == 200
            if response.status_code == 200 and MARK in _text(response):
                leaks.append(address)
        searched = client.get(reverse(f"{place}_changelist"), {"q": MARK})
        theirs = [reverse(f"{place}_change", args=[pk]) for pk in world.theirs.get(model, set())]
        if searched.status_code == 200 and any(page in _text(searched) for page in theirs):
            leaks.append(f"{place} searched")

    assert leaks == []
    assert opened > 5 or not admin.site._registry


def test_the_other_side_sees_its_own(world: World) -> None:
    """What is hidden above is there: the walk would otherwise prove nothing."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(world.member.user).secret}")

    for part in ("agents", "runs", "providers", "models", "tools", "sessions", "tool-calls"):
        assert MARK in client.get(f"/api/v1/workspaces/{MARK}/{part}").content.decode(), part
    assert Workspace.objects.count() == 2
    assert Membership.objects.filter(workspace=world.zeta).count() == 1
