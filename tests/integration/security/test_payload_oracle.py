"""A search tells what is in a text by what it finds: nobody finds by payload who may not see it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.http import HttpRequest
from django.test import Client
from rest_framework.test import APIClient

from agents.models import Run
from core import clock
from governance.contracts import Perm
from governance.guard.admin import GuardedAdmin
from governance.models import Approval, Grant, PolicyDifference, Role, User, Workspace
from observability.models import TraceEvent
from plugins.models import ToolCall
from tests.architecture.routes import http_routes
from tests.factories.agents import make_approval, make_call, make_finished_run, make_grant
from tests.factories.governance import issue, join, make_workspace
from tests.integration.agents.approvals.kit import publish

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

WORD, OTHER = "zqxoracle", "zqxnowhere"
WAYS: Final = ("icontains", "startswith", "regex", "gte", "lt")
COLUMNS: Final = (
    "/admin/plugins/toolcall/?result__icontains", "/admin/governance/approval/?question__icontains",
    "/admin/observability/traceevent/?payload__icontains",
    "/admin/governance/grant/?reason__icontains",
)  # fmt: skip
FILTERED: Final = frozenset(
    {
        "/admin/agents/run/", "/admin/agents/run/export/", "/admin/approvals/list/",
        "/admin/errors/", "/api/v1/workspaces/acme/runs", "/api/v1/workspaces/acme/tool-calls",
    }
)  # fmt: skip
PARAMETERS: Final = (
    "q", "text", "error", "search", "term", "reason", "input", "tool", "title", "agent", "user",
    "input__icontains", "arguments__icontains",
)  # fmt: skip
_LINK: Final = re.compile(r'href="(/admin/[^"?#]*)')
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def acme() -> Workspace:
    """A workspace whose runs, calls, questions, grants and events hold the word."""
    acme = make_workspace("acme")
    run = make_finished_run(acme, text=f"{WORD} asked", output=f"{WORD} answered")
    make_finished_run(acme, text="something else", output="nothing")
    held = {"note": WORD}
    call = make_call(run)
    ToolCall.objects.filter(pk=call.pk).update(arguments=held, reason=WORD, result=WORD)
    make_approval(
        run, call, arguments=held, edited_arguments=held, question=WORD, reason=WORD,
        evidence={"plan": {"summary": WORD}},
    )  # fmt: skip
    make_grant(run, call, pattern={"arguments": {"note": {"equals": WORD}}}, reason=WORD)
    TraceEvent.objects.create(
        workspace_id=acme.pk, run_id=run.pk, sequence=run.head_sequence + 1, kind="run.note",
        at=clock.now(), payload={"sentence": WORD},
    )  # fmt: skip
    PolicyDifference.objects.create(
        workspace=acme, version=publish(acme), call_id=call.pk, run_id=run.pk, tool="charge",
        decided_by="1", effect="allow", rule="fine", reason=WORD, shadow_effect="deny",
        shadow_rule="never", shadow_reason=WORD, at=clock.now(),
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(debug={"breakpoints": [{"kind": "text", "value": WORD}]})
    return acme


def clients(acme: Workspace, name: str, *perms: Perm) -> tuple[Client, APIClient]:
    Role.objects.create(workspace=acme, name=name, permissions=[each.value for each in perms])
    user = join(acme, name, name).user
    User.objects.filter(pk=user.pk).update(is_staff=True)
    browser, program = Client(raise_request_exception=False), APIClient()
    browser.force_login(user)
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(user, workspace=acme).secret}")
    return browser, program


def seen(client: Any, address: str) -> tuple[int, Counter[str]]:
    """Return what an answer tells of what was found: rows have links and ids."""
    response = client.get(address)
    content = b"".join(response.streaming_content) if response.streaming else response.content
    text = content.decode("utf-8", "replace")
    rows = {
        str(pk)
        for model in (Run, ToolCall, Approval, Grant)
        for pk in model._base_manager.values_list("pk", flat=True)
    }
    shown = [each for each in _ID.findall(text) if each in rows]  # forms have new ones
    return response.status_code, Counter(_LINK.findall(text) + shown)


def columns(model: type[Model]) -> Iterator[str]:
    """Yield the columns of a model and of those it leads to, either way, as lookups name them."""
    for field in model._meta.get_fields():
        if field.concrete:
            yield field.name
        related = field.related_model
        if field.is_relation and related is not None and not isinstance(related, str):
            yield from (f"{field.name}__{each.name}" for each in related._meta.concrete_fields)


def by_column() -> Iterator[tuple[str, str]]:
    """Yield each list of the console with each way to ask for what a column holds."""
    for model, page in admin.site._registry.items():
        for column in columns(model):
            for way in WAYS:
                lookup = f"{column}__{way}"
                if page.lookup_allowed(lookup, WORD, HttpRequest()):
                    yield model._meta.label, lookup


def by_parameter() -> Iterator[str]:
    """Yield every address without a parameter of its own but the workspace, asked for the word;
    those that have filters by each of them."""
    for route in http_routes():
        path = re.sub(r"<\w+:workspace>", "acme", route.path)
        if "<" in path or "(" in path or "logout" in path:
            continue
        if not route.actions or "get" in route.actions:
            names = PARAMETERS if path in FILTERED else ("q",)
            yield from (f"{path}?{name}={{word}}" for name in names)


def told(clients: tuple[Client, APIClient], templates: Iterable[str]) -> tuple[int, set[str]]:
    """Ask for the word and for one that is nowhere; return how often, and where they differ."""
    asked, found = 0, set()
    for template in templates:
        client = clients[0] if template.startswith("/admin/") else clients[1]
        there, nowhere = (seen(client, template.format(word=quote(w))) for w in (WORD, OTHER))
        asked += 1
        if there != nowhere:
            found.add(template.format(word="…"))
    return asked, found


def test_no_list_of_the_console_is_narrowed_by_what_is_in_a_column() -> None:
    assert set(by_column()) == set()
    assert sum(len(list(columns(model))) for model in admin.site._registry) > 300


def test_no_address_finds_by_payload_for_who_may_not_see_it(acme: Workspace) -> None:
    blind = clients(acme, "blind", *(set(Perm) - {Perm.RUN_PAYLOAD}))
    sighted = clients(acme, "sighted", *Perm)

    asked, found = told(blind, chain(by_parameter(), (f"{each}={{word}}" for each in COLUMNS)))

    assert found == set()
    assert asked > 100
    runs = ("/admin/agents/run/?q={word}", "/admin/agents/run/export/?q={word}")
    assert told(sighted, iter(runs))[1] == {
        "/admin/agents/run/?q=…",
        "/admin/agents/run/export/?q=…",
    }


def test_with_django_s_own_rule_for_lists_columns_would_tell(
    acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison bites: lists would say which rows hold a word."""
    blind = clients(acme, "blind", *(set(Perm) - {Perm.RUN_PAYLOAD}))
    monkeypatch.setattr(GuardedAdmin, "lookup_allowed", ModelAdmin.lookup_allowed)
    assert told(blind, (f"{each}={{word}}" for each in COLUMNS)) == (
        len(COLUMNS),
        {f"{each}=…" for each in COLUMNS},
    )
    assert len(set(by_column())) > 100
