"""What a run is pinned to: the record stored once under its digest and shared by equal runs."""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import ModelOptions, Price
from agents.engine.state import Limits


class PinnedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the chain: the first is asked, the others in turn when it cannot answer.

    Prices are dollars per million tokens. Those of the model's own row come first; `listed` is what
    a price list said when the run began, and `price_source` which one: so what a run cost can be
    explained, and an import changes nothing for runs that have begun.
    """

    name: str
    provider_id: UUID
    provider_kind: str
    vendor_name: str
    options: dict[str, Any] = {}
    input_price_usd: Decimal | None = None
    output_price_usd: Decimal | None = None
    cache_read_price_usd: Decimal | None = None
    cache_write_price_usd: Decimal | None = None
    listed: Price | None = None
    price_source: str = ""  # empty: pinned before lists were; the installed library is asked


def answered_by(vendor_name: str, models: Sequence[PinnedModel]) -> PinnedModel:
    """The model that answered; the first one when the vendor calls it by another name."""
    return next((model for model in models if model.vendor_name == vendor_name), models[0])


class PinnedTool(msgspec.Struct, frozen=True, kw_only=True):
    """`definition` is the whole declaration of a declared tool; a built-in one has none."""

    name: str
    digest: str
    definition: dict[str, Any] | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    version: int
    prompt: str
    models: tuple[PinnedModel, ...]
    tools: tuple[PinnedTool, ...]
    delegates: tuple[str, ...] = ()
    limits: Limits = Limits()
    options: ModelOptions = ModelOptions()

    def digest(self, workspace_id: UUID) -> str:
        """Name the snapshot; two workspaces never share one."""
        return hashlib.sha256(workspace_id.bytes + self.text()).hexdigest()

    def text(self) -> bytes:
        """Return the canonical JSON that, behind the workspace's 16 bytes, the digest is of."""
        return msgspec.json.encode(self, order="sorted", enc_hook=str)


_decoder = msgspec.json.Decoder(Snapshot)


def snapshot_of(content: dict[str, Any]) -> Snapshot:
    """Read a stored snapshot back."""
    return _decoder.decode(msgspec.json.encode(content))
