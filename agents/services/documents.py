"""Documents that say what a workspace shall hold: reading their common shape."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.spec import document_parse
from core.errors import DomainError, InvalidInputError
from governance.contracts import Perm

API_VERSION = "agentry/v1"
MAX_DOCUMENTS = 500


class Kind(StrEnum):
    """What can be applied, in the order one depends on another.

    A policy names tools and agents by patterns and people by roles, and is checked against none of
    them: nothing depends on it, nor it on anything. It comes late because its test cases may take
    their time, and before agents because all of them are published after everything else. Which
    comes first does not show: a batch takes force as a whole.
    """

    SECRET = "Secret"  # noqa: S105 - a kind of document
    PROVIDER = "Provider"
    TOOL = "Tool"
    MODEL = "Model"
    ROUTE = "Route"
    BUDGET = "Budget"
    CHANNEL = "Channel"
    POLICY = "Policy"
    AGENT = "Agent"


# What seeing each takes, in the order they are exported; secrets are not.
SEEING: Final[Mapping[Kind, Perm]] = {
    Kind.PROVIDER: Perm.PROVIDER_VIEW,
    Kind.TOOL: Perm.TOOL_VIEW,
    Kind.MODEL: Perm.PROVIDER_VIEW,
    Kind.ROUTE: Perm.PROVIDER_VIEW,
    Kind.BUDGET: Perm.BUDGET_VIEW,
    Kind.CHANNEL: Perm.CHANNEL_VIEW,
    Kind.POLICY: Perm.POLICY_VIEW,
    Kind.AGENT: Perm.AGENT_VIEW,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class _Metadata(_Strict):
    name: str = Field(min_length=1, max_length=100)
    description: str | None = Field(default=None, max_length=2_000)


class _Shape(_Strict):
    apiVersion: Literal["agentry/v1"]  # noqa: N815 - the word in the files
    kind: Kind = Field(strict=False)
    metadata: _Metadata
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`index` is its place among those that were sent."""

    index: int
    kind: Kind
    name: str
    description: str | None
    spec: dict[str, Any]

    @property
    def title(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(slots=True)
class Findings:
    """Everything wrong with a batch, by place; `failed` are the documents that depend on it."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    failed: set[tuple[Kind, str]] = field(default_factory=set)

    def add(self, document: Document, error: DomainError, *, below: str = "spec") -> None:
        self.failed.add((document.kind, document.name))
        place = f"documents.{document.index}"
        if not error.fields:
            self._say(place, f"{document.title}: {error}")
        for name, sentences in error.fields.items():
            inner = "metadata.name" if name == "name" else f"{below}.{name}"
            for sentence in sentences:
                self._say(f"{place}.{inner}", f"{document.title}: {sentence}")

    def add_shape(self, index: int, error: InvalidInputError) -> None:
        for name, sentences in error.fields.items():
            for sentence in sentences:
                self._say(f"documents.{index}.{name}", f"Document {index + 1}: {sentence}")

    def say(self, document: Document, sentence: str) -> None:
        self._say(f"documents.{document.index}", f"{document.title}: {sentence}")

    def _say(self, place: str, sentence: str) -> None:
        self.fields.setdefault(place, []).append(sentence)

    def refuse(self) -> None:
        """Raise InvalidInputError when there is anything."""
        if not self.fields:
            return
        count = sum(len(sentences) for sentences in self.fields.values())
        first = next(iter(self.fields.values()))[0]
        raise InvalidInputError(
            f"Nothing was applied: {count} mistake(s). {first}",
            remedy="Mend the named places and apply again.",
            fields=self.fields,
        )


def documents_read(documents: Sequence[Mapping[str, Any]], findings: Findings) -> list[Document]:
    """Return the documents in the order one depends on another, as far as they can be read."""
    if len(documents) > MAX_DOCUMENTS:
        sentence = f"At most {MAX_DOCUMENTS} documents are applied at once."
        raise InvalidInputError(sentence, fields={"documents": [sentence]})
    read: list[Document] = []
    seen: dict[tuple[Kind, str], int] = {}
    for index, source in enumerate(documents):
        try:
            shape = document_parse(_Shape, source, "document")
        except InvalidInputError as error:
            findings.add_shape(index, error)
            continue
        document = Document(
            index=index,
            kind=shape.kind,
            name=shape.metadata.name,
            description=shape.metadata.description,
            spec=shape.spec,
        )
        first = seen.setdefault((document.kind, document.name), index)
        if first != index:
            findings.say(document, f"The same is described by document {first + 1}.")
        read.append(document)
    order = list(Kind)
    ordered = sorted(read, key=lambda each: (order.index(each.kind), each.index))
    return list(_stand_ins_first(ordered))


def _stand_ins_first(documents: Sequence[Document]) -> Iterator[Document]:
    """Put a model behind the one it falls back to; a circle stays as it is and is refused later."""
    models = {each.name: each for each in documents if each.kind is Kind.MODEL}
    given: set[int] = set()

    def chain(document: Document) -> list[Document]:
        found: list[Document] = []
        current: Document | None = document
        while current is not None and current not in found and current.index not in given:
            found.append(current)
            fallback = current.spec.get("fallback")
            current = models.get(fallback) if isinstance(fallback, str) else None
        return found

    for document in documents:
        group = chain(document) if document.kind is Kind.MODEL else [document]
        for each in reversed(group):
            given.add(each.index)
            yield each
