"""Import and export: what is taken away changes nothing when applied, and comes back whole."""

import io
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import yaml

from agentry_site.console.documents.taking import yaml_read
from agents.models import Agent, Model, ModelRoute, Provider
from agents.services.apply import apply
from agents.services.documents import SEEING, Kind
from agents.services.exporting import documents_export
from agents.services.providers import provider_update
from core import pausepoints
from core.errors import PermissionDeniedError
from governance.contracts import SYSTEM, Perm
from governance.models import Budget, Channel, Policy, PolicyVersion, Secret
from governance.services.budgets import budget_create, budget_update
from governance.services.policies import policy_publish, policy_put
from governance.services.secrets import secret_set
from plugins.models import ToolDefinition
from tests.factories.agents import make_tenancy, make_tool
from tests.factories.governance import Cast, make_workspace
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

PAGE = "/admin/documents/"
BUDGET = """
apiVersion: agentry/v1
kind: Budget
metadata: {name: research, description: Agreed.}
spec: {kind: workspace, limit_usd: "40", period: week}
"""
MATRIX = "rules:\n  - {name: no-shell, tools: [shell], effect: deny}\n"
POLICY = """
apiVersion: agentry/v1
kind: Policy
metadata: {name: workspace}
spec:
  source: |
    rules:
      - {name: no-shell, tools: [shell], effect: ask}
"""


@pytest.fixture
def full(cast: Cast) -> Cast:
    """A workspace with rows of every kind."""
    make_tenancy(cast.acme, "acme")
    budget_create(
        SYSTEM, workspace=cast.acme, name="capped", kind="workspace",
        limit_usd=Decimal("12.5"), note="Agreed with finance.",
    )  # fmt: skip
    policy_put(SYSTEM, workspace=cast.acme, source=MATRIX)
    policy_publish(SYSTEM, workspace=cast.acme, note="Agreed with operations.")
    return cast


def taken(answer: Any) -> list[Any]:
    return list(yaml.safe_load_all(answer.content.decode()))


def test_every_kind_that_is_applied_is_exported_but_for_secrets() -> None:
    assert set(SEEING) == set(Kind) - {Kind.SECRET}


def test_what_was_exported_changes_nothing_when_it_is_applied(full: Cast) -> None:
    root = full.actor("root")
    documents = documents_export(actor=root, workspace=full.acme)

    changes = apply(actor=root, workspace=full.acme, documents=documents)

    assert {document["kind"] for document in documents} == {kind.value for kind in SEEING}
    assert [change for change in changes if change.action != "unchanged"] == []


def test_another_workspace_gets_the_same_of_it(full: Cast) -> None:
    root, empty = full.actor("root"), make_workspace("empty")
    documents = documents_export(actor=root, workspace=full.acme)

    apply(actor=root, workspace=empty, documents=documents)

    def plain(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # A route has no name of its own.
        return [each if each["kind"] != "Route" else each["spec"] for each in found]

    assert plain(documents_export(actor=root, workspace=empty)) == plain(documents)


def test_no_key_and_no_secret_leaves(full: Cast, browse: Browser) -> None:
    root = full.actor("root")
    provider = Provider.objects.filter(workspace=full.acme).first()
    assert provider is not None
    secret_set(SYSTEM, workspace=full.acme, name="deep", value="pineapple-on-pizza-99")
    provider_update(
        actor=root, provider=provider, script="# pineapple-on-pizza-99\nsteps: [{text: Hello.}]"
    )

    text = browse("root").get(f"{PAGE}export/?workspace=acme").content.decode()

    assert "pineapple-on-pizza-99" not in text
    assert "api_key" not in text
    assert "kind: Secret" not in text


def test_a_reference_to_a_secret_stays_and_a_token_in_its_place_does_not(full: Cast) -> None:
    root = full.actor("root")
    secret_set(SYSTEM, workspace=full.acme, name="crm", value="pineapple-on-pizza-99")
    make_tool(
        full.acme,
        "crm",
        url="https://crm.example/",
        headers={"Authorization": "Bearer ${secret:crm}"},
    )
    make_tool(full.acme, "old", url="https://old.example/")
    ToolDefinition.objects.filter(name="old").update(headers={"Authorization": "Bearer abcdef1"})

    headers = {
        each["metadata"]["name"]: each["spec"]["headers"]
        for each in documents_export(actor=root, workspace=full.acme, kind=Kind.TOOL)
        if each["spec"]["headers"]
    }

    assert headers == {
        "crm": {"Authorization": "Bearer ${secret:crm}"},
        "old": {"Authorization": "[redacted]"},
    }


def test_what_one_may_not_see_is_left_out_or_refused(full: Cast) -> None:
    viewer = full.actor("viewer")
    kinds = {each["kind"] for each in documents_export(actor=viewer, workspace=full.acme)}
    assert kinds == {kind.value for kind in SEEING}  # viewers see all kinds

    narrowed = full.narrowed("viewer", scopes=[Perm.WORKSPACE_VIEW, Perm.TOOL_VIEW])
    assert {each["kind"] for each in documents_export(actor=narrowed, workspace=full.acme)} == {
        "Tool"
    }
    with pytest.raises(PermissionDeniedError):
        documents_export(actor=narrowed, workspace=full.acme, kind=Kind.PROVIDER)


def test_who_is_in_no_workspace_gets_nothing(full: Cast, browse: Browser) -> None:
    for who in ("outsider", "nobody"):
        answer = browse(who).get(f"{PAGE}export/?workspace=acme")
        assert answer.status_code == 400, who
        assert b"acme" not in browse(who).get(PAGE).content, who


@pytest.mark.parametrize(
    ("page", "model", "kind"),
    [
        ("agents_agent", Agent, "Agent"),
        ("agents_provider", Provider, "Provider"),
        ("agents_model", Model, "Model"),
        ("agents_modelroute", ModelRoute, "Route"),
        ("governance_budget", Budget, "Budget"),
        ("governance_channel", Channel, "Channel"),
        ("governance_policy", Policy, "Policy"),
    ],
)
def test_chosen_rows_are_taken_away_from_their_list(
    full: Cast, browse: Browser, page: str, model: Any, kind: str
) -> None:
    row = model.objects.filter(workspace=full.acme).order_by("pk").first()
    app, name = page.split("_")

    answer = browse("viewer").post(
        f"/admin/{app}/{name}/", {"action": "export_selected", "_selected_action": [str(row.pk)]}
    )

    file = "policies.yaml" if kind == "Policy" else f"{kind.lower()}s.yaml"
    assert answer["Content-Disposition"] == f'attachment; filename="{file}"'
    assert answer.content.decode().startswith("# workspace acme\n---\n")
    assert [document["kind"] for document in taken(answer)] == [kind]


def test_a_policy_that_is_only_a_draft_is_no_document(cast: Cast, browse: Browser) -> None:
    row = policy_put(SYSTEM, workspace=cast.acme, source=MATRIX)

    answer = browse("viewer").post(
        "/admin/governance/policy/",
        {"action": "export_selected", "_selected_action": [str(row.pk)]},
        follow=True,
    )

    assert "Nothing was exported: what was chosen is not published." in answer.content.decode()


def test_an_export_of_one_policy_is_of_that_workspace_only(full: Cast, browse: Browser) -> None:
    policy_put(SYSTEM, workspace=full.other, source=MATRIX)
    policy_publish(SYSTEM, workspace=full.other)
    rows = Policy.objects.order_by("workspace__name")
    for row, name in zip(rows, ("acme", "other"), strict=True):
        chosen = {"action": "export_selected", "_selected_action": [str(row.pk)]}
        answer = browse("root").post("/admin/governance/policy/", chosen)
        assert answer.content.decode().startswith(f"# workspace {name}\n---\n")
        assert len(taken(answer)) == 1


def test_lists_of_what_is_no_document_offer_no_such_deed(full: Cast, browse: Browser) -> None:
    assert b"export_selected" not in browse("root").get("/admin/agents/session/").content
    assert b"export_selected" in browse("root").get("/admin/agents/agent/").content


def test_an_import_is_shown_first_and_done_when_it_is_agreed_to(
    full: Cast, browse: Browser
) -> None:
    client = browse("admin")
    asked = {"workspace": "acme", "text": BUDGET}

    shown = client.post(f"{PAGE}import/", asked)
    preview = shown.context["preview"]
    assert [(change.kind, change.action) for change in preview.changes] == [("Budget", "create")]
    assert not Budget.objects.filter(name="research").exists()

    done = client.post(f"{PAGE}import/", asked | {"agreed": preview.digest}, follow=True)
    assert "1 document was applied to acme." in done.content.decode()
    row = Budget.objects.get(name="research")
    assert (row.limit_usd, row.period, row.note) == (Decimal(40), "week", "Agreed.")

    again = client.post(f"{PAGE}import/", asked)
    assert again.context["preview"].changed == 0
    assert "There is nothing to do" in again.content.decode()


def test_a_policy_is_shown_line_by_line_and_put_in_force(full: Cast, browse: Browser) -> None:
    client = browse("admin")
    asked = {"workspace": "acme", "text": POLICY}
    before = PolicyVersion.objects.count()

    shown = client.post(f"{PAGE}import/", asked)

    ((_, (source,)),) = [
        (change, [row for row in rows if row.path == "spec.source"])
        for change, _, rows in shown.context["preview"].shown
    ]
    assert [(line.sign, line.text) for line in source.lines if line.kind != "place"] == [
        (" ", "rules:"),
        ("-", "  - {name: no-shell, tools: [shell], effect: deny}"),
        ("+", "  - {name: no-shell, tools: [shell], effect: ask}"),
    ]
    assert "is-added" in shown.content.decode()
    assert PolicyVersion.objects.count() == before

    client.post(f"{PAGE}import/", asked | {"agreed": shown.context["preview"].digest})
    assert PolicyVersion.objects.count() == before + 1
    assert "effect: ask" in PolicyVersion.objects.get(workspace=full.acme, is_active=True).source


def test_a_file_is_read_too(full: Cast, browse: Browser) -> None:
    file = io.BytesIO(BUDGET.encode())
    file.name = "budget.yaml"

    shown = browse("admin").post(f"{PAGE}import/", {"workspace": "acme", "file": file})

    assert shown.context["preview"].changed == 1


def test_what_changed_since_it_was_shown_is_shown_again(full: Cast, browse: Browser) -> None:
    client = browse("admin")
    asked = {"workspace": "acme", "text": BUDGET}
    digest = client.post(f"{PAGE}import/", asked).context["preview"].digest
    budget_create(
        SYSTEM, workspace=full.acme, name="research", kind="workspace", limit_usd=Decimal(7),
        period="week",
    )  # fmt: skip

    answer = client.post(f"{PAGE}import/", asked | {"agreed": digest})

    assert "Something changed since it was shown." in answer.content.decode()
    assert [change.action for change in answer.context["preview"].changes] == ["update"]
    assert Budget.objects.get(name="research").limit_usd == 7


def test_what_changes_between_the_last_look_and_the_deed_stops_it(
    full: Cast, browse: Browser
) -> None:
    row = budget_create(
        SYSTEM, workspace=full.acme, name="research", kind="workspace", limit_usd=Decimal(7),
        period="week", note="Agreed.",
    )  # fmt: skip
    client = browse("admin")
    asked = {"workspace": "acme", "text": BUDGET}
    digest = client.post(f"{PAGE}import/", asked).context["preview"].digest

    def meanwhile() -> None:
        budget_update(SYSTEM, budget=row, limit_usd=Decimal(2))  # somebody pulls the brake

    with pausepoints.at("documents.before_apply", meanwhile):
        answer = client.post(f"{PAGE}import/", asked | {"agreed": digest})

    assert "Something changed since it was shown." in answer.content.decode()
    (change,) = answer.context["preview"].changes
    assert [(each.path, each.before, each.after) for each in change.diff] == [
        ("spec.limit_usd", "2", "40")
    ]
    assert Budget.objects.get(name="research").limit_usd == 2


def test_sealed_values_that_are_there_already_are_no_change_meanwhile(
    full: Cast, browse: Browser
) -> None:
    secret_set(SYSTEM, workspace=full.acme, name="crm", value="pineapple-on-pizza-99")
    text = (
        """
apiVersion: agentry/v1
kind: Secret
metadata: {name: crm}
spec: {value: pineapple-on-pizza-99}
---"""
        + BUDGET
    )
    client = browse("admin")
    asked = {"workspace": "acme", "text": text}
    preview = client.post(f"{PAGE}import/", asked).context["preview"]
    assert [change.action for change in preview.changes] == ["update", "create"]

    done = client.post(f"{PAGE}import/", asked | {"agreed": preview.digest}, follow=True)

    assert "2 documents were applied to acme." in done.content.decode()
    assert Budget.objects.filter(name="research").exists()
    assert Secret.objects.get(name="crm").version == 1


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 8)}]\n" for before, name in pairwise("abcdefgh")
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 20_000, "nested too deep"),
        ("a: " + "9" * 5_000, "a value is none that can be read"),
        ("a: 2026-99-99", "a value is none that can be read"),
        ('a: "\\U99999999"', "a value is none that can be read"),
        ("a: &a [*a]", "holds itself"),
        (BOMB, "once its anchors are written out"),
    ],
)
def test_a_hostile_file_is_a_sentence_and_no_breakdown(
    full: Cast, browse: Browser, text: str, sentence: str
) -> None:
    answer = browse("admin").post(f"{PAGE}import/", {"workspace": "acme", "text": text})

    assert answer.status_code == 200
    assert sentence in answer.content.decode()


def test_anchors_of_honest_files_are_read() -> None:
    text = "base: &base {limit_usd: 4}\na: {<<: *base, kind: agent}\nb: *base"
    base = {"limit_usd": 4}
    assert yaml_read(text) == [{"base": base, "a": base | {"kind": "agent"}, "b": base}]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There is no document in it."),
        ("a: [", "This is no YAML: line 1"),
        ("kind: Weather", "apiVersion"),
        (BUDGET.replace("week", "fortnight"), "Choose one of"),
        ("x" * 1_000_001, "At most 1000000 characters"),
    ],
)
def test_what_cannot_be_applied_is_said_and_kept(
    full: Cast, browse: Browser, text: str, sentence: str
) -> None:
    answer = browse("admin").post(f"{PAGE}import/", {"workspace": "acme", "text": text})

    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert not Budget.objects.filter(name="research").exists()


def test_an_import_takes_the_permission_of_each_kind(full: Cast, browse: Browser) -> None:
    asked = {"workspace": "acme", "text": BUDGET}
    digest = browse("admin").post(f"{PAGE}import/", asked).context["preview"].digest

    answer = browse("viewer").post(f"{PAGE}import/", asked | {"agreed": digest})

    assert "budget.edit" in answer.content.decode()
    assert not Budget.objects.filter(name="research").exists()
    assert browse("viewer").get(f"{PAGE}import/").status_code == 405
