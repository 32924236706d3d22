"""The specification of an agent: what an author writes and a version keeps."""

import difflib
import hashlib
import re
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agents.contracts import SessionStrategy
from core.errors import InvalidInputError
from governance.budgets import LARGEST_USD

M = TypeVar("M", bound=BaseModel)
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsSpec(_Strict):
    """Bounds of a run; an absent one is unbounded, except the number of model calls."""

    max_iterations: int = Field(default=25, ge=1, le=10_000)
    max_tokens: int | None = Field(default=None, ge=1)
    max_cost_usd: Decimal | None = Field(default=None, gt=0, lt=LARGEST_USD)
    wall_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    model_retries: int = Field(default=3, ge=0, le=20)


class OptionsSpec(_Strict):
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    stop: list[str] = Field(default_factory=list, max_length=8)
    seed: int | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


class SessionSpec(_Strict):
    strategy: SessionStrategy = SessionStrategy.REJECT


class AgentSpec(_Strict):
    """`model` empty: the workspace's routes choose by input. `tools` absent: the safe built-ins."""

    prompt: str = Field(default="", max_length=200_000)
    model: str = Field(default="", max_length=100)
    tools: list[str] | None = Field(default=None, max_length=200)
    delegates: list[Name] = Field(default_factory=list, max_length=100)
    limits: LimitsSpec = LimitsSpec()
    variables: dict[str, str] = Field(default_factory=dict, max_length=100)
    options: OptionsSpec = OptionsSpec()
    session: SessionSpec = SessionSpec()

    @field_validator("variables")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not VARIABLE.fullmatch("{{" + name + "}}"):
                raise ValueError(f"{name!r} is not a variable name; use letters, digits and _")
        return value

    def digest(self) -> str:
        content = msgspec.json.encode(self.model_dump(mode="json"), order="sorted")
        return hashlib.sha256(content).hexdigest()


def spec_parse(document: Any) -> AgentSpec:
    """Read a specification.

    Raises:
        InvalidInputError: With every mistake by its place in the document.
    """
    return document_parse(AgentSpec, document, "specification")


def limits_parse(document: Any) -> LimitsSpec:
    return document_parse(LimitsSpec, document, "limits")


def document_parse(model: type[M], document: Any, what: str) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            place = ".".join(str(part) for part in problem["loc"]) or what
            is_unknown = problem["type"] == "extra_forbidden"
            sentence = _unknown(model, problem["loc"]) if is_unknown else problem["msg"]
            fields.setdefault(place, []).append(sentence)
        raise InvalidInputError(
            f"The {what} has {len(error.errors())} mistake(s): "
            + "; ".join(f"{place}: {texts[0]}" for place, texts in fields.items()),
            remedy="Mend the named places and send it again.",
            fields=fields,
        ) from error


def _unknown(model: type[BaseModel], place: tuple[int | str, ...]) -> str:
    """Say what a field that is not known may have been meant to be."""
    known: Any = model
    for part in place[:-1]:
        known = known.model_fields[part].annotation  # only a plain part refuses what is extra
    names = sorted(known.model_fields)
    close = difflib.get_close_matches(str(place[-1]), names, n=1)
    if close:
        return f"Unknown field. Did you mean {close[0]!r}?"
    return f"Unknown field. Known: {', '.join(names)}."


def rendered(prompt: str, variables: dict[str, str]) -> str:
    """Put variables into a prompt.

    Raises:
        InvalidInputError: The prompt names one that has no value.
    """
    missing = sorted({name for name in VARIABLE.findall(prompt) if name not in variables})
    if missing:
        raise InvalidInputError(
            f"The prompt needs {', '.join(missing)}, which nobody gave.",
            remedy="Give it under `variables`, or a default in the agent's specification.",
            fields={"variables": [f"{name} is missing" for name in missing]},
        )
    return VARIABLE.sub(lambda match: variables[match.group(1)], prompt)
