"""Policies in both languages, on both engines: written, tested, published, and refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import ConflictError, InvalidInputError, NotFoundError, PermissionDeniedError
from governance.contracts import Actor
from governance.errors import PolicyCasesFailedError, PolicyInvalidError
from governance.models import AuditEntry, Policy, PolicyVersion, Workspace
from governance.policy.contracts import Effect
from governance.policy.matrix.reference import MatrixEngine
from governance.policy.sources import PolicyLanguage
from governance.services.policies import (
    policy_cases_run,
    policy_publish,
    policy_put,
    policy_shadow_end,
)
from governance.services.policy_engines import close_engines, policy_digest, policy_engine
from tests.conformance.policy.subjects import OpaProcess, opa_process
from tests.factories.governance import Cast, make_cast
from tests.unit.governance.policy.kit import call

MATRIX = "rules: [{name: no-shell, tools: [shell], effect: deny}]"
REGO = """package agentry.tool

import rego.v1

default decision := {"effect": "deny", "rule": "default"}

decision := {"effect": "allow", "rule": "reads"} if input.tool.effect == "read"
"""
ALWAYS = 'package agentry.tool\n\nimport rego.v1\n\ndecision := {"effect": "deny"}\n'
CASES = "cases: [{name: the shell is closed, input: {tool: {name: shell}}, expect: deny}]"
WRONG_CASES = "cases: [{name: the shell is open, input: {tool: {name: shell}}, expect: allow}]"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _patient(settings: Any) -> Iterator[None]:
    settings.POLICY_SECONDS = 4.0
    yield
    close_engines()


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def admin(cast: Cast) -> Actor:
    return cast.actor("admin")


@pytest.fixture
def opa(settings: Any) -> Iterator[OpaProcess]:
    with opa_process() as process:
        settings.POLICY_ENGINE, settings.OPA_URL = "opa", process.url
        yield process


def _put(admin: Actor, cast: Cast, source: str = MATRIX, **fields: Any) -> Policy:
    return policy_put(admin, workspace=cast.acme, source=source, **fields)


def _published(workspace: Workspace) -> list[tuple[int, bool, bool]]:
    rows = PolicyVersion.objects.filter(workspace=workspace).order_by("number")
    return list(rows.values_list("number", "is_active", "is_shadow"))


def test_rego_is_written_and_published(cast: Cast, admin: Actor) -> None:
    _put(admin, cast, REGO, language="rego")

    version = policy_publish(admin, workspace=cast.acme)

    engine = policy_engine(version.source, version.language)
    assert version.language == "rego"
    assert engine.decide(call(effect="read")).rule == "reads"
    assert engine.decide(call(effect="keyed")).effect is Effect.DENY
    assert engine.digest == policy_digest(REGO, "rego")


@pytest.mark.parametrize(
    ("module", "what"),
    [
        (ALWAYS, "does not say what holds"),
        (REGO.replace('"deny"', '"allow"'), "where no rule decides it must deny"),
        (REGO.replace('== "read"', '== net.cidr_contains("a", "b")'), "net.cidr_contains"),
        (REGO.replace("input.tool.effect", "input.tool.efect"), "no field `efect`"),
        (REGO.replace("import rego.v1\n", ""), "import rego.v1"),
        (MATRIX, "not this policy's package"),
    ],
)
def test_rego_that_would_not_mean_what_it_says_is_not_kept(
    cast: Cast, admin: Actor, module: str, what: str
) -> None:
    with pytest.raises(PolicyInvalidError) as refused:
        _put(admin, cast, module, language="rego")

    assert what in str(refused.value) + str(refused.value.detail)
    assert not Policy.objects.exists()


def test_a_language_and_cases_that_are_not_given_stay(cast: Cast, admin: Actor) -> None:
    _put(admin, cast, REGO, language="rego", cases=CASES)

    changed = _put(admin, cast, REGO + "\n# changed\n")

    assert (changed.language, changed.cases) == ("rego", CASES)
    with pytest.raises(PolicyInvalidError):
        _put(admin, cast, MATRIX)


def test_cases_that_are_none_are_refused_with_their_place(cast: Cast, admin: Actor) -> None:
    with pytest.raises(PolicyInvalidError, match="line 1, column 9: this case expects nothing"):
        _put(admin, cast, cases="cases: [{name: nothing}]")

    assert not Policy.objects.exists()


def test_failing_cases_stop_publishing_until_somebody_answers_for_it(
    cast: Cast, admin: Actor
) -> None:
    _put(admin, cast, cases=WRONG_CASES)

    with pytest.raises(PolicyCasesFailedError) as refused:
        policy_publish(admin, workspace=cast.acme)
    assert _published(cast.acme) == []
    assert refused.value.detail == {
        "failures": ["line 1, the shell is open: effect is 'deny', expected 'allow'"]
    }

    version = policy_publish(admin, workspace=cast.acme, despite_failures=True)

    assert (version.is_active, version.failing_cases) == (True, 1)
    told = AuditEntry.objects.filter(action="policy_published").get().payload
    assert (told["despite_failures"], told["failing_cases"], told["cases"]) == (True, 1, 1)


def test_cases_are_tried_without_storing_anything(cast: Cast, admin: Actor) -> None:
    _put(admin, cast, cases=CASES)
    viewer = cast.actor("viewer")

    stored = policy_cases_run(viewer, workspace=cast.acme)
    given = policy_cases_run(viewer, workspace=cast.acme, cases=WRONG_CASES)
    other = policy_cases_run(viewer, workspace=cast.acme, source=REGO, language="rego", cases=CASES)

    assert [(run.count, len(run.failures)) for run in (stored, given, other)] == [
        (1, 0), (1, 1), (1, 1),
    ]  # fmt: skip
    assert Policy.objects.get().cases == CASES
    with pytest.raises(InvalidInputError):
        policy_cases_run(cast.actor("outsider"), workspace=cast.other)
    with pytest.raises(NotFoundError):
        policy_cases_run(cast.actor("outsider"), workspace=cast.acme)


def test_a_draft_that_changes_while_it_is_published_is_not_published(
    cast: Cast, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(admin, cast, cases=CASES)

    def meanwhile(source: str, language: str) -> Any:
        Policy.objects.update(draft="default: allow")
        return policy_engine(source, language)

    monkeypatch.setattr("governance.services.policies.policy_engine", meanwhile)
    with pytest.raises(ConflictError):
        policy_publish(admin, workspace=cast.acme)

    assert _published(cast.acme) == []


def test_a_shadow_stands_beside_what_decides(cast: Cast, admin: Actor) -> None:
    _put(admin, cast)
    policy_publish(admin, workspace=cast.acme)
    _put(admin, cast, REGO, language="rego")

    shadow = policy_publish(admin, workspace=cast.acme, as_shadow=True)
    again = policy_publish(admin, workspace=cast.acme, as_shadow=True)

    assert again == shadow
    assert _published(cast.acme) == [(1, True, False), (2, False, True)]
    policy_publish(admin, workspace=cast.acme)
    assert _published(cast.acme) == [(1, False, False), (2, False, False), (3, True, False)]


def test_a_shadow_is_replaced_and_ended(cast: Cast, admin: Actor) -> None:
    _put(admin, cast)
    policy_publish(admin, workspace=cast.acme, as_shadow=True)
    _put(admin, cast, REGO, language="rego")
    policy_publish(admin, workspace=cast.acme, as_shadow=True)
    assert _published(cast.acme) == [(1, False, False), (2, False, True)]

    with pytest.raises(PermissionDeniedError):
        policy_shadow_end(cast.actor("author"), workspace=cast.acme)
    ended = policy_shadow_end(admin, workspace=cast.acme)

    assert ended is not None
    assert ended.number == 2
    assert policy_shadow_end(admin, workspace=cast.acme) is None
    assert _published(cast.acme) == [(1, False, False), (2, False, False)]


@pytest.mark.parametrize("language", list(PolicyLanguage))
def test_an_opa_server_gives_the_same_answers(
    cast: Cast, admin: Actor, opa: OpaProcess, settings: Any, language: PolicyLanguage
) -> None:
    source = {PolicyLanguage.MATRIX: MATRIX, PolicyLanguage.REGO: REGO}[language]
    _put(admin, cast, source, language=language)
    version = policy_publish(admin, workspace=cast.acme)
    calls = [call(), call("http"), call(effect="irreversible"), call(privileged=True)]

    served = [policy_engine(version.source, version.language).decide(each) for each in calls]
    settings.POLICY_ENGINE = "embedded"
    embedded = [policy_engine(version.source, version.language).decide(each) for each in calls]

    assert served == embedded
    assert not any(each.is_abnormal for each in served)


def test_what_the_server_cannot_be_asked_is_not_put_into_force(
    cast: Cast, admin: Actor, opa: OpaProcess
) -> None:
    _put(admin, cast)
    opa.stop()

    with pytest.raises(PolicyInvalidError, match="the policy server cannot be reached"):
        policy_publish(admin, workspace=cast.acme)

    assert _published(cast.acme) == []


def test_an_engine_is_built_once_and_kept(cast: Cast) -> None:
    first = policy_engine(MATRIX)

    assert isinstance(first, MatrixEngine)
    assert policy_engine(MATRIX) is first
    close_engines()
    assert policy_engine(MATRIX) is not first
