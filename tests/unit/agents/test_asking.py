"""Asking a model: whose failure it is."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from agents.contracts import Completed, FinishReason, Message, ModelOptions, Role, TextPart, Usage
from agents.engine.loop import ModelAnswered, ModelFailed
from agents.engine.state import EngineState
from agents.execution.completion import Asked, Asker
from agents.execution.spending import MOST_TOKENS
from agents.snapshot import PinnedModel
from core.errors import ConflictError, DomainError, UnavailableError

AWAY = UnavailableError("The database does not answer right now.")
OFF = ConflictError("The provider p is switched off.")


def _asker(failure: DomainError) -> Asker:
    async def providers(_: UUID) -> Any:
        raise failure

    purse: Any = None  # nobody pays where nobody is asked
    return Asker(providers=providers, specs=lambda _: (), emit=lambda *_: None, purse=purse)


def _run(models: int) -> Any:
    """A run whose snapshot has so many models."""
    rows = [
        SimpleNamespace(name=f"m-{n}", vendor_name=f"v-{n}", provider_id=UUID(int=n))
        for n in range(models)
    ]
    return SimpleNamespace(recorded=None, snapshot=SimpleNamespace(models=rows))


@pytest.mark.parametrize("models", [1, 2])
async def test_a_database_that_is_away_is_no_failure_of_the_model(models: int) -> None:
    """The run is left where it is and taken up again; a failed model would end it."""
    with pytest.raises(UnavailableError):
        await _asker(AWAY).ask(_run(models), EngineState(), [])


@pytest.mark.parametrize("models", [1, 2])
async def test_a_provider_that_is_switched_off_is_one(models: int) -> None:
    asked = await _asker(OFF).ask(_run(models), EngineState(), [])

    assert isinstance(asked, Asked)
    assert asked.event == ModelFailed(code="conflict", sentence=OFF.message, is_retryable=False)


class _Boastful:
    """A server that calls its model by a name no database holds, and counts beyond all numbers."""

    async def complete(self, request: Any) -> AsyncIterator[Completed]:
        yield Completed(
            message=Message(role=Role.ASSISTANT, parts=(TextPart("Done."),)),
            usage=Usage(input_tokens=2**63 - 1, output_tokens=2**100),
            finish=FinishReason.STOP,
            model="m\x00" * 1_000,
        )


async def test_what_a_server_says_of_itself_is_bounded() -> None:
    async def providers(_: UUID) -> Any:
        return _Boastful()

    purse: Any = None
    asker = Asker(providers=providers, specs=lambda _: (), emit=lambda *_: None, purse=purse)
    pinned = PinnedModel(
        name="m", provider_id=UUID(int=1), provider_kind="scripted", vendor_name="v"
    )
    snapshot = SimpleNamespace(models=[pinned], prompt="", options=ModelOptions())
    run: Any = SimpleNamespace(
        recorded=None, snapshot=snapshot, is_bounded=False, held=None, workspace_id=UUID(int=2),
        run_id=UUID(int=3), head_sequence=1, agent="a",
    )  # fmt: skip
    asked = await asker.ask(run, EngineState(), [])

    assert isinstance(asked, Asked)
    assert isinstance(asked.event, ModelAnswered)
    assert asked.model == "m\ufffd" * 100
    assert asked.event.usage == Usage(input_tokens=MOST_TOKENS, output_tokens=MOST_TOKENS)
