"""Price lists: imported, kept, chosen between, and pinned with the runs that begin."""

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from agents.contracts import Usage
from agents.execution.pinning import model_chain
from agents.models import ModelPrice, PriceList
from agents.pricing import cost_of, library_version
from agents.services.prices import prices_import_file, prices_import_library
from core.errors import InvalidInputError
from governance.models import Workspace
from tests.factories.agents import make_model, make_provider
from tests.factories.governance import make_user, make_workspace

MILLION = Usage(input_tokens=100_000, output_tokens=10_000)


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make_workspace("acme")


def a_list(**models: Any) -> bytes:
    named = {name.replace("_", "-"): {"cost": cost} for name, cost in models.items()}
    vendors = {
        "openai": {"models": named},
        "local": {"api": "https://llm.example:8443/v1", "models": named},
    }
    return json.dumps(vendors).encode()


def bring(**models: Any) -> PriceList:
    return prices_import_file(content=a_list(**models), title="api.json")


def figures(made: PriceList) -> tuple[int, int, int, int, int]:
    return made.added, made.changed, made.ended, made.unchanged, made.left_out


def a_model(workspace: Workspace, name: str, vendor_name: str, **provider: Any) -> None:
    make_provider(workspace, f"p-{name}", kind="openai", api_key="sk-1", **provider)
    make_model(workspace, name, provider=f"p-{name}", vendor_name=vendor_name)


def test_an_import_keeps_what_it_replaces(db: None) -> None:
    one, two = {"input": 1, "output": 2}, {"input": 3, "output": 4}

    assert figures(bring(a=one, b=one, c={"input": 1})) == (4, 0, 0, 0, 2)
    assert figures(bring(a=one, b=one, c={"input": 1})) == (0, 0, 0, 4, 2)
    assert figures(bring(a=two, d=one)) == (2, 2, 2, 0, 0)

    kept = ModelPrice.objects.filter(provider="openai").order_by("vendor_name", "valid_from")
    assert [(row.vendor_name, int(row.input_usd), row.valid_until is None) for row in kept] == [
        ("a", 1, False),
        ("a", 3, True),
        ("b", 1, False),
        ("d", 1, True),
    ]
    ended, begun = kept[0], kept[1]
    assert ended.valid_until == begun.valid_from


def test_what_is_no_list_imports_nothing(db: None) -> None:
    with pytest.raises(InvalidInputError, match="openai/a: output costs -2"):
        bring(a={"input": 1, "output": -2})

    assert not PriceList.objects.exists()
    assert not ModelPrice.objects.exists()


def test_two_imports_at_once_leave_one_price_in_force(db: None) -> None:
    bring(a={"input": 1, "output": 2})
    row = ModelPrice.objects.filter(provider="openai").get()
    row.pk, row._state.adding = None, True

    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


def test_an_imported_list_comes_before_what_is_installed(workspace: Workspace) -> None:
    a_model(workspace, "listed", "gpt-4o-mini")
    (before,) = model_chain(workspace.pk, "listed", "")
    bring(gpt_4o_mini={"input": 1, "output": 10, "context_over_200k": {"input": 2, "output": 20}})
    (after,) = model_chain(workspace.pk, "listed", "")

    assert before.price_source == f"genai-prices {library_version()} as installed"
    assert cost_of(before, MILLION) == Decimal("0.021")
    assert after.price_source.startswith("models.dev of 20")
    assert cost_of(after, MILLION) == Decimal("0.2")
    assert cost_of(after, Usage(input_tokens=300_000)) == Decimal("0.6")


def test_a_models_own_prices_come_before_every_list(workspace: Workspace) -> None:
    a_model(workspace, "listed", "gpt-4o-mini")
    workspace_prices = {"input_price_usd": Decimal(4), "output_price_usd": Decimal(8)}
    make_model(workspace, "own", provider="p-listed", vendor_name="gpt-4o-mini", **workspace_prices)
    bring(gpt_4o_mini={"input": 1, "output": 10})
    (own,) = model_chain(workspace.pk, "own", "")

    assert (own.price_source, own.listed) == ("the model's own prices", None)
    assert cost_of(own, MILLION) == Decimal("0.48")


def test_a_server_of_ones_own_has_no_listed_price_but_a_listed_server_has(
    workspace: Workspace,
) -> None:
    a_model(workspace, "own", "gpt-4o-mini", base_url="https://models.corp.example/v1")
    a_model(workspace, "known", "gpt-4o-mini", base_url="https://llm.example:8443/v1")
    bring(gpt_4o_mini={"input": 1, "output": 10})
    (own,), (known,) = (model_chain(workspace.pk, name, "") for name in ("own", "known"))

    assert (own.price_source, cost_of(own, MILLION)) == ("unknown", None)
    assert cost_of(known, MILLION) == Decimal("0.2")


def test_the_library_can_be_imported_so_that_its_next_version_changes_nothing(
    workspace: Workspace,
) -> None:
    a_model(workspace, "dated", "gpt-4o-mini-2024-07-18")
    first, second = prices_import_library(), prices_import_library()
    (found,) = model_chain(workspace.pk, "dated", "")

    assert first.added == second.unchanged > 1_000
    assert (second.added, second.changed, second.ended) == (0, 0, 0)
    assert found.price_source.startswith("genai-prices of 20")
    assert cost_of(found, MILLION) == Decimal("0.021")


def test_a_script_is_not_looked_up(workspace: Workspace, django_assert_num_queries: Any) -> None:
    make_model(workspace)

    with django_assert_num_queries(1):
        (script,) = model_chain(workspace.pk, "small", "")

    assert script.price_source == "a script asks nobody"


def told(*args: Any) -> str:
    out = StringIO()
    call_command("prices", *args, stdout=out)
    return out.getvalue()


def test_the_command_imports_lists_and_says_which_price_wins(
    workspace: Workspace, tmp_path: Path
) -> None:
    a_model(workspace, "fast", "gpt-4o-mini")
    a_model(workspace, "ours", "llama", base_url="http://localhost:9/v1")
    make_model(workspace, "small")
    file = tmp_path / "api.json"
    file.write_bytes(a_list(gpt_4o_mini={"input": 1, "output": 2.5, "cache_read": 0.1}))

    assert "Nothing was imported" in told("ls")
    assert "2 new prices, 0 changed, 0 no longer listed" in told("import", str(file))
    assert "models.dev  api.json  +2 ~0 -0 =0" in told("ls")
    shown = told("show", "fast")
    assert "acme/fast: gpt-4o-mini of p-fast" in shown
    assert "(openai/gpt-4o-mini) counts\n    in $1, out $2.5, cached $0.1" in shown
    assert "as installed (openai/gpt-4o-mini) would count if nothing above" in shown
    assert "models.dev  local/gpt-4o-mini" in told("show", "gpt-4o-mini")
    assert "Unknown: no list knows the server it is served by." in told("show", "ours")
    assert "A script asks nobody" in told("show", "small")
    with pytest.raises(CommandError, match="No workspace has a model 'nothing'"):
        told("show", "nothing")
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        told("import", str(tmp_path / "gone.json"))


def test_lists_and_prices_are_for_those_who_run_the_site(db: None, client: Client) -> None:
    bring(a={"input": 1, "output": 2, "context_over_200k": {"input": 2, "output": 4}})
    pages = [
        reverse("admin:agents_modelprice_changelist"),
        reverse("admin:agents_pricelist_changelist"),
    ]
    client.force_login(make_user("someone", is_staff=True))
    assert [client.get(page).status_code for page in pages] == [403, 403]

    client.force_login(make_user("root", is_superuser=True, is_staff=True))
    prices, lists = (client.get(page).content.decode() for page in pages)
    assert "above 200,000 tokens: $2 in, $4 out" in prices
    assert "api.json" in lists
    row = ModelPrice.objects.first()
    assert row is not None
    assert client.get(reverse("admin:agents_modelprice_change", args=[row.pk])).status_code == 200
