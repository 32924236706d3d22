"""Every model can be seen in the console, asked over REST and made in a test, or says why not."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from model_bakery import baker

from tests.architecture.routes import http_routes
from tests.architecture.source import APPS

# Written reasons. An entry whose model has the thing after all, or is gone, fails.
WITHOUT_ADMIN: dict[str, str] = {
    "governance.BudgetAccount": "a period of a budget; on its budget's page, and in the tree",
    "agents.WorkspaceHead": "what the newest checkpoint of a tree of runs names, which is shown",
    "governance.AuditHead": "the lock at the end of a chain; what it says is in the last entry",
    "governance.IdempotencyRecord": "an answer kept for a day to be given again; nothing to decide",
    "governance.WorkspaceGroupPermission": "derived from roles; the membership is what is edited",
    "governance.WorkspaceUserPermission": "derived from roles; the membership is what is edited",
    "observability.UsageCursor": "how far the trace is summed; what it says is on the cost page",
    "observability.UsageHour": "sums of trace events, which the cost page shows",
    "observability.Process": "of the site's machines; the page of profiles shows it",
    "observability.Profile": "of the site's machines; the page of profiles shows it",
    "observability.SlowCallback": "of the site's machines; the page of profiles shows it",
}
WITHOUT_REST: dict[str, str] = {
    "agents.WorkspaceHead": "what the newest checkpoint of a tree of runs names, which is shown",
    "governance.AuditHead": "the lock at the end of a chain; what it says is in the last entry",
    "agents.ModelPrice": "the site's; for operators, by `manage.py prices` and in the console",
    "agents.PriceList": "the site's; for operators, by `manage.py prices` and in the console",
    "agents.RunSnapshot": "its content is part of the run's representation",
    "governance.ApprovalVote": "its content is part of the approval's representation",
    "governance.ChannelIdentity": "its content is part of the channel's representation",
    "governance.IdempotencyRecord": "an answer kept for a day to be given again; nothing to decide",
    "governance.WorkspaceGroupPermission": "derived from roles; the membership is what is edited",
    "governance.WorkspaceUserPermission": "derived from roles; the membership is what is edited",
    "observability.Blob": "content under its digest; read through what refers to it",
    "observability.TraceEvent": "pages and streams of a run's events, read by a selector",
    "observability.UsageCursor": "how far the trace is summed; what it says is part of the cost",
    "observability.UsageHour": "sums of trace events; summed further, they are what a cost is",
    "observability.Process": "of the site's machines; the page of profiles shows it",
    "observability.Profile": "of the site's machines; the page of profiles shows it",
    "observability.SlowCallback": "of the site's machines; the page of profiles shows it",
}

WITHOUT_FACTORY: dict[str, str] = {
    "governance.WorkspaceGroupPermission": "made by giving a role; guardian checks what fits",
    "governance.WorkspaceUserPermission": "made by giving a role; guardian checks what fits",
}


def _models() -> dict[str, type[Model]]:
    return {
        model._meta.label: model
        for app in APPS
        if apps.is_installed(app)
        for model in apps.get_app_config(app).get_models()
    }


def _models_in_rest() -> set[str]:
    found: set[str] = set()
    for route in http_routes():
        view: Any = route.view_class
        queryset = getattr(view, "queryset", None)
        serializer = getattr(view, "serializer_class", None)
        for model in (
            getattr(queryset, "model", None),
            getattr(getattr(serializer, "Meta", None), "model", None),
            getattr(view, "model", None),
        ):
            if model is not None:
                found.add(model._meta.label)
    return found


def test_there_are_models() -> None:
    assert {"governance.User", "agents.Run"} <= set(_models())


def test_every_model_is_in_the_console_or_says_why_not() -> None:
    shown = {model._meta.label for model in admin.site._registry}
    hidden = set(_models()) - shown - _inlines()

    assert hidden - set(WITHOUT_ADMIN) == set(), "without a page or an inline in the console"
    assert set(WITHOUT_ADMIN) - hidden == set(), "listed as hidden, but shown or gone"


def _inlines() -> set[str]:
    return {
        inline.model._meta.label
        for page in admin.site._registry.values()
        for inline in page.inlines
    }


def test_every_model_is_in_the_api_or_says_why_not() -> None:
    hidden = set(_models()) - _models_in_rest()

    assert hidden - set(WITHOUT_REST) == set(), "without a REST resource"
    assert set(WITHOUT_REST) - hidden == set(), "listed as without REST, but there or gone"


@pytest.mark.django_db
@pytest.mark.parametrize("label", sorted(set(_models()) - set(WITHOUT_FACTORY)))
def test_every_model_can_be_made_for_a_test(label: str) -> None:
    model = _models()[label]

    made = baker.make(model)

    assert model._default_manager.filter(pk=made.pk).count() == 1
    assert str(made) != f"{model.__name__} object ({made.pk})"


def test_what_has_no_factory_is_still_there() -> None:
    assert set(WITHOUT_FACTORY) - set(_models()) == set()
