"""Whose usage an answer of a model is: told to the sums of observability, which know no runs."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from agents.models import Provider, Run, RunSnapshot
from observability.contracts import ModelAnswer, UsageKey

_REMEMBERED: Final = 4_096
_LONGEST_NAME: Final = 200


class _Pinned(NamedTuple):
    name: str
    vendor_name: str
    provider_id: str


class _Asked(NamedTuple):
    """What a run says of its usage; `is_replay`: it asked a recording, not a vendor."""

    agent: str
    user: str
    snapshot: str
    is_replay: bool


_Chain: TypeAlias = tuple[_Pinned, ...]

# By digest, so never out of date. Any thread may fill it; at worst a chain is read twice.
_chains: dict[str, _Chain] = {}


def usage_keys(answers: Sequence[ModelAnswer]) -> list[UsageKey | None]:
    """Say for each answer whose it is: agent, model, provider and who asked for the run.

    None for what a replay was told. Of a run that is gone only the model's own name is known.
    """
    runs = _runs({answer.run_id for answer in answers})
    chains = _chains_of({run.snapshot for run in runs.values()})
    providers = _provider_names(
        {pinned.provider_id for chain in chains.values() for pinned in chain}
    )
    keys: list[UsageKey | None] = []
    for answer in answers:
        run = runs.get(answer.run_id)
        if run is None:
            keys.append(UsageKey(model=answer.model[:_LONGEST_NAME]))
        elif run.is_replay:
            keys.append(None)
        else:
            pinned = _answered(answer.model, chains.get(run.snapshot, ()))
            keys.append(
                UsageKey(
                    agent=run.agent,
                    model=pinned.name if pinned else answer.model[:_LONGEST_NAME],
                    provider=providers.get(pinned.provider_id, "") if pinned else "",
                    user=run.user,
                )
            )
    return keys


def _runs(run_ids: set[UUID]) -> dict[UUID, _Asked]:
    runs = Run.objects.filter(pk__in=run_ids).only(
        "agent_name", "requested_by_id", "snapshot_id", "replay_of_id"
    )
    return {
        run.pk: _Asked(
            agent=run.agent_name,
            user="" if run.requested_by_id is None else str(run.requested_by_id),
            snapshot=run.snapshot_id,
            is_replay=run.replay_of_id is not None,
        )
        for run in runs
    }


def _chains_of(digests: set[str]) -> dict[str, _Chain]:
    missing = digests - _chains.keys()
    if len(_chains) + len(missing) > _REMEMBERED:
        _chains.clear()
        missing = digests
    if missing:
        rows = RunSnapshot.objects.filter(digest__in=missing)
        for digest, models in rows.values_list("digest", "content__models"):
            _chains[digest] = tuple(
                _Pinned(model["name"], model["vendor_name"], model["provider_id"])
                for model in models
            )
    return {digest: _chains[digest] for digest in digests if digest in _chains}


def _provider_names(provider_ids: set[str]) -> dict[str, str]:
    rows = Provider.objects.filter(pk__in=provider_ids).values_list("pk", "name")
    return {str(pk): name for pk, name in rows}


def _answered(vendor_name: str, chain: _Chain) -> _Pinned | None:
    """The model that was paid, by the rule of agents.snapshot.answered_by."""
    exact = (pinned for pinned in chain if pinned.vendor_name == vendor_name)
    return next(exact, chain[0] if chain else None)
