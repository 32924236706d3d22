"""What a run does about its models: providers that are gone, keys, prices and fallbacks."""

import pytest

from agents.models import Provider
from governance.models import Workspace
from observability.models import TraceEvent
from tests.factories.agents import make_agent, make_model, make_provider
from tests.integration.agents.execution.kit import (
    WORDS,
    Engine,
    begin,
    check_invariants,
    ledger,
    script_agent,
    set_provider,
    told,
)


def test_a_provider_that_is_gone_or_off_fails_the_run_with_a_remedy(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, WORDS)
    off = begin(workspace)
    set_provider(workspace, "p-helper", is_enabled=False)
    engine.play(off)

    assert (off.state, off.error_code) == ("failed", "conflict")
    assert off.reason == "The provider p-helper is switched off. Enable it."


def test_a_deleted_provider_is_named(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, WORDS)
    run = begin(workspace)
    provider = Provider.objects.get(workspace=workspace, name="p-helper")
    provider.models.all().delete()
    provider.delete()
    engine.play(run)

    assert (run.state, run.error_code) == ("failed", "not_found")
    assert "was deleted. Fork the run with another model." in run.reason


@pytest.mark.parametrize(
    ("allowed", "sentence"),
    [
        (frozenset(), "which providers may not read. Add it to AGENTRY_PROVIDER_ENV"),
        (frozenset({"VENDOR_KEY_OF_A_TEST"}), "which is not set. Set it for the workers"),
    ],
)
def test_a_key_from_an_environment_variable_must_be_allowed_and_set(
    engine: Engine,
    workspace: Workspace,
    settings: object,
    allowed: frozenset[str],
    sentence: str,
) -> None:
    settings.PROVIDER_ENV = allowed  # type: ignore[attr-defined]  # pytest-django's wrapper
    script_agent(workspace, WORDS)
    set_provider(workspace, "p-helper", key_env="VENDOR_KEY_OF_A_TEST")
    run = engine.play(begin(workspace))

    assert (run.state, run.error_code) == ("failed", "invalid_input")
    assert sentence in run.reason


def test_a_key_of_the_site_is_not_sent_to_a_server_somebody_chose(
    engine: Engine,
    workspace: Workspace,
    settings: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The services refuse such a row; one that is there nevertheless is not used."""
    settings.PROVIDER_ENV = frozenset({"VENDOR_KEY_OF_A_TEST"})  # type: ignore[attr-defined]  # pytest-django's wrapper
    monkeypatch.setenv("VENDOR_KEY_OF_A_TEST", "sk-key-of-the-operator")
    script_agent(workspace, WORDS)
    set_provider(
        workspace, "p-helper", key_env="VENDOR_KEY_OF_A_TEST", base_url="http://127.0.0.1:9/v1"
    )
    run = engine.play(begin(workspace))

    assert (run.state, run.error_code) == ("failed", "invalid_input")
    assert "such a key is sent to the vendor's own address only" in run.reason
    assert "sk-key-of-the-operator" not in run.reason


@pytest.mark.parametrize("is_off", [False, True])
def test_the_fallback_answers_when_the_first_cannot(
    engine: Engine, workspace: Workspace, is_off: bool
) -> None:
    failing = "steps: [{error: {kind: overloaded, message: busy}}]"
    make_provider(workspace, "first", script=failing, max_retries=0)
    make_provider(workspace, "second", script='steps: [{text: "From the second."}]')
    make_model(workspace, "backup", provider="second", vendor_name="backup-1")
    make_model(workspace, "main", provider="first", vendor_name="main-1", fallback="backup")
    make_agent(workspace, "helper", model="main")
    run = begin(workspace)
    if is_off:
        set_provider(workspace, "first", is_enabled=False)
    engine.play(run)

    assert (run.state, run.output) == ("succeeded", "From the second.")
    step = TraceEvent.objects.get(run_id=run.pk, kind="step.model")
    assert step.payload["model"] == "backup-1"


def test_a_broken_fallback_does_not_stop_the_first(engine: Engine, workspace: Workspace) -> None:
    make_provider(workspace, "second", script=WORDS)
    make_provider(workspace, "first", script=WORDS)
    make_model(workspace, "backup", provider="second", vendor_name="backup-1")
    make_model(workspace, "main", provider="first", vendor_name="main-1", fallback="backup")
    make_agent(workspace, "helper", model="main")
    run = begin(workspace)
    set_provider(workspace, "second", is_enabled=False)

    assert engine.play(run).output == "Hello."


def test_what_a_model_makes_up_fits_the_database(engine: Engine, workspace: Workspace) -> None:
    script_agent(
        workspace,
        f"""
steps:
  - tool_calls:
      - {{name: "{"n" * 500}", arguments: {{n: 1}}}}
      - {{name: echo, raw_arguments: '{{"text": "nul \\u0000 and \\ud800", "n": 1e400}}'}}
      - {{name: echo, raw_arguments: '{{"text": 123456789012345678901234567890}}'}}
      - {{name: echo, raw_arguments: '{{"text": "nul \\u0000"}}'}}
  - text: done
""",
    )
    run = engine.play(begin(workspace))

    assert (run.state, run.output) == ("succeeded", "done"), run.reason
    assert [state for _, state in ledger(run)] == ["failed", "failed", "failed", "committed"]
    assert "result nul \ufffd" in told(run)
    check_invariants(run.pk)
