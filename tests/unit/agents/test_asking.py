"""Asking a model: whose failure it is."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from agents.engine.loop import ModelFailed
from agents.engine.state import EngineState
from agents.execution.completion import Asked, Asker
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
