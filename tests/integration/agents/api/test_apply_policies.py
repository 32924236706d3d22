"""Policies as documents: published where they are not in force, and never over somebody's draft."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection

from agents.services.apply import apply
from agents.services.documents import Kind
from agents.services.exporting import documents_export
from core import pausepoints
from governance.contracts import Perm
from governance.models import AuditEntry, Budget, Policy, PolicyVersion, Workspace
from governance.services.policies import policy_publish, policy_put
from governance.services.policy_engines import close_engines
from tests.factories.governance import Cast, make_workspace
from tests.integration.agents.api.conftest import CallAs
from tests.integration.agents.api.documents import change, document, mistakes, paths
from tests.integration.agents.approvals.kit import at_once
from tests.waiting import wait_for

MATRIX = "rules:\n  - {name: no-shell, tools: [shell], effect: deny}\n"
OTHER = "rules:\n  - {name: no-files, tools: [write], effect: deny}\n"
REGO = """package agentry.tool

import rego.v1

default decision := {"effect": "deny", "rule": "default"}

decision := {"effect": "allow", "rule": "reads"} if input.tool.effect == "read"
"""
CASES = "cases: [{name: closed, input: {tool: {name: shell}}, expect: deny}]\n"
MORE_CASES = "cases: [{name: the shell is closed, input: {tool: {name: shell}}, expect: deny}]\n"
WRONG = "cases: [{name: open, input: {tool: {name: shell}}, expect: allow}]\n"


@pytest.fixture(autouse=True)
def _patient(settings: Any) -> Iterator[None]:
    settings.POLICY_SECONDS = 4.0
    yield
    close_engines()


def policy(source: str = MATRIX, **spec: str) -> dict[str, Any]:
    return document("Policy", "workspace", {"source": source, **spec})


def versions(workspace: Workspace) -> list[tuple[int, str, bool]]:
    rows = PolicyVersion.objects.filter(workspace=workspace).order_by("number")
    return list(rows.values_list("number", "source", "is_active"))


def traces() -> tuple[int, ...]:
    """How many rows tell of a policy."""
    models = (Policy, PolicyVersion, AuditEntry, LogEntry)
    return tuple(model._default_manager.count() for model in models)


def test_a_policy_is_put_in_force_and_the_same_again_changes_nothing(
    cast: Cast, call_as: CallAs
) -> None:
    admin = call_as("admin")
    made = change(admin, policy(cases=CASES, note="Agreed."))
    before = traces()

    again = change(admin, policy(cases=CASES, note="For another reason."))

    assert made["action"] == "create"
    assert paths(made) == {
        "spec.language": (None, "matrix"),
        "spec.source": (None, MATRIX),
        "spec.cases": (None, CASES),
        "spec.note": (None, "Agreed."),
    }
    assert (again["action"], again["diff"]) == ("unchanged", [])
    assert traces() == before
    version = PolicyVersion.objects.get()
    assert (version.is_active, version.note, version.cases) == (True, "Agreed.", CASES)
    told = AuditEntry.objects.filter(action="policy_published").get()
    assert (told.actor_name, told.payload["cases"]) == ("admin", 1)


def test_another_text_is_another_version(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    change(admin, policy(cases=CASES, note="First."))

    changed = change(admin, policy(REGO, language="rego", note="Second."))

    assert changed["action"] == "update"
    assert paths(changed) == {
        "spec.language": ("matrix", "rego"),
        "spec.source": (MATRIX, REGO),
        "spec.cases": (CASES, None),
        "spec.note": ("First.", "Second."),
    }
    assert versions(cast.acme) == [(1, MATRIX, False), (2, REGO, True)]


def test_a_dry_run_tells_the_difference_and_leaves_nothing(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    assert change(admin, policy(), dry_run=True)["action"] == "create"
    assert (Policy.objects.count(), PolicyVersion.objects.count()) == (0, 0)
    change(admin, policy())
    before = traces()

    changed = change(admin, policy(OTHER), dry_run=True)

    assert paths(changed) == {"spec.source": (MATRIX, OTHER)}
    assert traces() == before
    assert Policy.objects.get().draft == MATRIX
    change(admin, policy(OTHER))
    assert versions(cast.acme) == [(1, MATRIX, False), (2, OTHER, True)]


def test_failing_test_cases_refuse_the_whole_batch(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    budget = document("Budget", "all", {"kind": "workspace", "limit_usd": "5"})

    told = mistakes(admin, budget, policy(cases=WRONG))

    assert told == {
        "documents.1.spec.cases": [
            "Policy/workspace: line 1, open: effect is 'deny', expected 'allow'"
        ]
    }
    assert not Budget.objects.exists()
    assert (Policy.objects.count(), PolicyVersion.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("sent", "place", "sentence"),
    [
        (document("Policy", "tools", {"source": MATRIX}), "metadata.name", "name: workspace"),
        (document("Policy", "workspace", {}), "spec.source", "required"),
        (policy(" "), "spec.source", "1 to 256000 characters"),
        (policy("x" * 256_001), "spec.source", "at most 256000"),
        (policy("rules: [{name: x, tools: [a], effect: maybe}]"), "spec.source", "line 1, column"),
        (policy("tools: []"), "spec.source", "line 1, column"),
        (policy(language="cobol"), "spec.language", "'matrix' or 'rego'"),
        (policy(language="rego"), "spec.source", "line 1"),
        (policy(cases="cases: [{name: nothing}]"), "spec.cases", "this case expects nothing"),
        (policy(note="n" * 501), "spec.note", "at most 500"),
        (policy(sorce=MATRIX), "spec.sorce", "Did you mean 'source'?"),
        (policy("# [redacted]\n" + MATRIX), "spec.source", "Write what belongs there"),
        (policy(cases="# [redacted]\n" + CASES), "spec.cases", "Write what belongs there"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    cast: Cast, call_as: CallAs, sent: dict[str, Any], place: str, sentence: str
) -> None:
    told = mistakes(call_as("admin"), document("Secret", "s", {"value": "v" * 20}), sent)

    assert list(told) == [f"documents.1.{place}"]
    assert sentence in told[f"documents.1.{place}"][0]
    assert (Policy.objects.count(), PolicyVersion.objects.count()) == (0, 0)


@pytest.mark.parametrize("missing", [Perm.POLICY_VIEW, Perm.POLICY_EDIT, Perm.POLICY_PUBLISH])
def test_it_takes_the_permission_to_write_and_to_publish(
    cast: Cast, call_as: CallAs, missing: Perm
) -> None:
    held = [perm.value for perm in Perm if perm is not missing]
    caller = call_as("admin", scopes=held)
    budget = document("Budget", "all", {"kind": "workspace", "limit_usd": "5"})
    before = traces()

    for dry_run in (True, False):
        body = {"documents": [budget, policy()], "dry_run": dry_run}
        answer = caller("post", "apply", body)

        assert answer.status_code == 403
        assert missing.value in answer.json()["detail"]
    assert not Budget.objects.exists()
    assert traces() == before
    assert call_as("author")("post", "apply", {"documents": [policy()]}).status_code == 403


@pytest.mark.parametrize("is_published", [True, False])
def test_a_draft_that_somebody_works_on_is_kept(
    cast: Cast, call_as: CallAs, is_published: bool
) -> None:
    admin, caller = cast.actor("admin"), call_as("admin")
    policy_put(admin, workspace=cast.acme, source=MATRIX)
    if is_published:
        policy_publish(admin, workspace=cast.acme)
    policy_put(admin, workspace=cast.acme, source=OTHER, cases=MORE_CASES)
    before = traces()

    told = mistakes(caller, policy("rules: [{name: c, tools: [c], effect: ask}]"))

    ((place, sentences),) = told.items()
    assert place == "documents.0.spec.source"
    assert "There is a draft that is not in force" in sentences[0]
    assert "Publish it" in sentences[0]
    assert traces() == before
    draft = Policy.objects.get()
    assert (draft.draft, draft.cases) == (OTHER, MORE_CASES)


def test_what_is_in_force_already_leaves_any_draft_alone(cast: Cast, call_as: CallAs) -> None:
    change(call_as("admin"), policy(cases=CASES))
    policy_put(cast.actor("admin"), workspace=cast.acme, source=OTHER, cases="")

    same = change(call_as("admin"), policy(cases=CASES))

    assert same["action"] == "unchanged"
    assert Policy.objects.get().draft == OTHER
    assert versions(cast.acme) == [(1, MATRIX, True)]


def test_a_draft_that_says_what_the_document_says_is_published(cast: Cast, call_as: CallAs) -> None:
    change(call_as("admin"), policy())
    policy_put(cast.actor("admin"), workspace=cast.acme, source=OTHER, cases="")

    change(call_as("admin"), policy(OTHER))

    assert versions(cast.acme) == [(1, MATRIX, False), (2, OTHER, True)]


def test_other_test_cases_are_kept_with_the_draft_and_make_no_version(
    cast: Cast, call_as: CallAs
) -> None:
    """There and back: what is there afterwards is what the document says."""
    admin = call_as("admin")
    change(admin, policy(cases=CASES))

    there = change(admin, policy(cases=MORE_CASES))
    exported = documents_export(actor=cast.actor("viewer"), workspace=cast.acme, kind=Kind.POLICY)
    refused = mistakes(admin, policy(cases=WRONG))
    again = change(admin, policy(cases=MORE_CASES))
    back = change(admin, policy(cases=CASES))

    assert paths(there) == {"spec.cases": (CASES, MORE_CASES)}
    assert [each["spec"]["cases"] for each in exported] == [MORE_CASES]
    assert list(refused) == ["documents.0.spec.cases"]
    assert again["action"] == "unchanged"
    assert paths(back) == {"spec.cases": (MORE_CASES, CASES)}
    assert Policy.objects.get().cases == CASES
    assert versions(cast.acme) == [(1, MATRIX, True)]


def test_a_policy_is_exported_as_it_is_in_force(cast: Cast) -> None:
    admin, viewer = cast.actor("admin"), cast.actor("viewer")

    def exported() -> list[dict[str, Any]]:
        return documents_export(actor=viewer, workspace=cast.acme, kind=Kind.POLICY)

    assert exported() == []
    policy_put(admin, workspace=cast.acme, source=REGO, language="rego")
    policy_publish(admin, workspace=cast.acme, as_shadow=True)
    assert exported() == []
    policy_publish(admin, workspace=cast.acme, note="Agreed.")
    policy_put(admin, workspace=cast.acme, source=MATRIX, language="matrix", cases=CASES)

    (found,) = exported()

    assert found == policy(REGO, language="rego", note="Agreed.")
    empty = make_workspace("empty")
    root = cast.actor("root")
    assert [each.action for each in apply(actor=root, workspace=empty, documents=[found])] == [
        "create"
    ]
    assert [each.action for each in apply(actor=root, workspace=empty, documents=[found])] == [
        "unchanged"
    ]
    assert versions(empty) == [(1, REGO, True)]


def _applied(cast: Cast, *sent: dict[str, Any]) -> Callable[[], list[str]]:
    actor, workspace = cast.actor("admin"), cast.acme

    def do() -> list[str]:
        changes = apply(actor=actor, workspace=workspace, documents=sent)
        return [each.action for each in changes]

    return do


@pytest.mark.django_db(transaction=True)
def test_of_two_who_apply_the_same_at_once_one_publishes(cast: Cast) -> None:
    done = at_once([_applied(cast, policy(cases=CASES)) for _ in range(2)])

    assert sorted(done, key=str) == [["create"], ["unchanged"]]
    assert versions(cast.acme) == [(1, MATRIX, True)]


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
        row = cursor.fetchone()
    return bool(row and row[0])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("sent", "action", "count"), [(MATRIX, "unchanged", 1), (OTHER, "update", 2)]
)
def test_who_comes_while_another_is_at_it_waits_and_finds_what_that_one_made(
    cast: Cast, sent: str, action: str, count: int
) -> None:
    """The first has looked at what is in force and has published nothing yet."""
    second: list[Any] = []
    late = threading.Thread(target=lambda: second.extend(at_once([_applied(cast, policy(sent))])))

    def meanwhile() -> None:
        if late.ident is None:
            late.start()
            wait_for(_somebody_waits, lambda: "nobody waits for a lock")

    with pausepoints.at("policy.before_adopt", meanwhile):
        assert _applied(cast, policy())() == ["create"]
        late.join(60)

    assert second == [[action]]
    assert len(versions(cast.acme)) == count
    assert PolicyVersion.objects.get(is_active=True).source == sent


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_draft_that_is_saved_while_a_document_is_applied_is_kept(cast: Cast) -> None:
    """It comes after what is applied, which looked before there was one."""
    admin = cast.actor("admin")
    late = threading.Thread(
        target=lambda: at_once([lambda: policy_put(admin, workspace=cast.acme, source=OTHER)])
    )

    def meanwhile() -> None:
        late.start()
        wait_for(_somebody_waits, lambda: "nobody waits for a lock")

    with pausepoints.at("policy.before_adopt", meanwhile):
        assert _applied(cast, policy())() == ["create"]
        late.join(60)

    assert Policy.objects.get().draft == OTHER
    assert versions(cast.acme) == [(1, MATRIX, True)]
