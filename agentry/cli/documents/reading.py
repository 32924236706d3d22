"""From files, folders and stdin to documents ready to be sent: found, checked, secrets resolved."""

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentry.cli.documents.places import (
    MAX_BYTES,
    Finding,
    Place,
    Placed,
    Unreadable,
    read_yaml,
    suggestion,
)
from agentry.cli.documents.values import SECRET, with_value, wrong_value

API_VERSION = "agentry/v1"
# In the order they depend on each other.
KINDS = (
    "Secret", "Provider", "Model", "Route", "Tool", "Budget", "Channel", "Policy", "Agent"
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:@+-]{0,98}[A-Za-z0-9])?")
_TOP = frozenset({"apiVersion", "kind", "metadata", "spec"})
_METADATA = frozenset({"name", "description"})
# Keys that hold secrets wherever they stand; their values are never written into a file.
_SECRETS = frozenset(
    {"api_key", "token", "password", "secret", "authorization", "x-api-key", "api-key"}
)
_SECRET_REFERENCE = re.compile(r"([A-Za-z]{1,16} )?\$\{secret:[A-Za-z][A-Za-z0-9_-]{0,62}\}")
_IN_HEADERS = "one of headers"
_ADDRESS = "url of spec"  # some addresses, such as Slack's, are secrets, and most are not


@dataclass(frozen=True, slots=True)
class Document:
    kind: str
    name: str
    source: Placed

    def content(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """What is sent, with `{env: NAME}` replaced by the variable's value."""
        if self.kind == SECRET:
            return with_value(self.source, environ)
        resolved: dict[str, Any] = _resolve(self.source, environ)
        return resolved


def read_paths(paths: Iterable[Path]) -> list[Placed]:
    """All documents of these files and folders. Raises `Unreadable` with every finding and with
    the documents of the files that can be read."""
    documents: list[Placed] = []
    findings: list[Finding] = []
    for path in paths:
        for name, text in _texts(path, findings):
            try:
                documents += read_yaml(text, name)
            except Unreadable as error:
                findings += error.findings
    if findings:
        raise Unreadable(findings, documents)
    return documents


def _texts(path: Path, findings: list[Finding]) -> list[tuple[str, str]]:
    if str(path) == "-":
        return [("<stdin>", sys.stdin.read(MAX_BYTES + 1))]
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.suffix in (".yaml", ".yml"))
        if not files:
            findings.append(Finding(Place(str(path), 1, 1), "holds no .yaml file."))
    texts = []
    for file in files:
        try:
            if file.stat().st_size > MAX_BYTES:
                findings.append(Finding(Place(str(file), 1, 1), f"larger than {MAX_BYTES} bytes."))
                continue
            texts.append((str(file), file.read_text(encoding="utf-8")))
        except OSError as error:
            findings.append(Finding(Place(str(file), 1, 1), f"{error.strerror or error}."))
        except UnicodeDecodeError as error:
            sentence = f"not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}."
            findings.append(Finding(Place(str(file), 1, 1), sentence))
    return texts


def check(
    sources: Iterable[Placed],
    *,
    environ: Mapping[str, str] | None = None,
    kinds: Collection[str] = KINDS,
) -> list[Document]:
    """Check the shape of every document; the server knows what belongs into each `spec`.

    Returns them in the order they depend on each other. Raises `Unreadable` with every finding and
    with the documents that have none.
    """
    environ = os.environ if environ is None else environ
    documents: list[Document] = []
    findings: list[Finding] = []
    first: dict[tuple[str, str], Place] = {}
    sound: list[Document] = []
    for source in sources:
        known = len(findings)
        document = _document(source, kinds, findings)
        if document is not None and document.kind == SECRET:
            findings += wrong_value(source, environ)
        else:
            _check_secrets(source, environ, findings)
        if document is None:
            continue
        identity = (document.kind, document.name)
        if identity in first:
            place = source.at(("metadata", "name"))
            sentence = f"{document.kind} {document.name!r} is also at {first[identity]}."
            findings.append(Finding(place, sentence))
        first.setdefault(identity, source.place)
        documents.append(document)
        if len(findings) == known:
            sound.append(document)
    if findings:
        raise Unreadable(sorted(findings), _ordered(sound))
    return _ordered(documents)


def _ordered(documents: Iterable[Document]) -> list[Document]:
    return sorted(documents, key=lambda each: KINDS.index(each.kind))


def _document(source: Placed, kinds: Collection[str], findings: list[Finding]) -> Document | None:
    if not isinstance(source.value, dict):
        sentence = "a document must be a mapping with apiVersion, kind, metadata, spec."
        findings.append(Finding(source.place, sentence))
        return None
    kind = source.text("kind")
    wrong = [*_unknown_keys(source, _TOP), *_wrong_metadata(source)]
    if source.text("apiVersion") != API_VERSION:
        wrong.append(Finding(source.at(("apiVersion",)), f"apiVersion must be {API_VERSION}."))
    if kind not in kinds:
        told = f"kind {kind!r} is not known here." if kind else "kind is missing."
        wrong.append(Finding(source.at(("kind",)), told + suggestion(kind, kinds)))
    spec = source.get("spec")
    if spec is None or not isinstance(spec.value, dict):
        wrong.append(Finding(source.at(("spec",)), "spec must be a mapping."))
    findings += wrong
    metadata = source.get("metadata")
    return None if wrong or metadata is None else Document(kind, metadata.text("name"), source)


def _wrong_metadata(source: Placed) -> Iterator[Finding]:
    metadata = source.get("metadata")
    if metadata is None or not isinstance(metadata.value, dict):
        yield Finding(source.at(("metadata",)), "metadata must be a mapping with a name.")
        return
    yield from _unknown_keys(metadata, _METADATA)
    if not _NAME.fullmatch(metadata.text("name")):
        yield Finding(
            source.at(("metadata", "name")),
            "metadata.name must be text of letters, digits, '.', '_', '-', at most 100.",
        )


def _unknown_keys(value: Placed, known: Collection[str]) -> Iterator[Finding]:
    for key in value.value:
        if key not in known:
            yield Finding(value.keys[key], f"unknown key {key!r}.{suggestion(key, known)}")


def _check_secrets(
    value: Placed, environ: Mapping[str, str], findings: list[Finding], key: str = ""
) -> None:
    if _is_reference(value, key):
        name = value.text("env")
        if not name:
            findings.append(Finding(value.place, "env must be the name of a variable."))
        elif not environ.get(name):
            sentence = f"the environment variable {name} is not set."
            findings.append(Finding(value.at(("env",)), sentence))
    elif isinstance(value.value, dict):
        for name, each in value.value.items():
            _check_secrets(each, environ, findings, _below(key, name))
    elif isinstance(value.value, list):
        for each in value.value:
            _check_secrets(each, environ, findings)
    elif key in _SECRETS and value.value not in (None, "") and not _names_secret(value):
        sentence = (
            f"{key} must not stand in a file; write {key}: {{env: NAME}}, or name a secret of the "
            "workspace: ${secret:NAME}."
        )
        findings.append(Finding(value.place, sentence))


def _names_secret(value: Placed) -> bool:
    """`${secret:NAME}`, with the name of a scheme before it at most."""
    return isinstance(value.value, str) and _SECRET_REFERENCE.fullmatch(value.value) is not None


def _is_reference(value: Placed, key: str) -> bool:
    """`{env: NAME}` where a secret belongs; `variables: {env: staging}` is an ordinary mapping."""
    may_be_secret = key in _SECRETS or key in (_IN_HEADERS, _ADDRESS)
    return may_be_secret and isinstance(value.value, dict) and set(value.value) == {"env"}


def _below(key: str, name: str) -> str:
    """Under which key a value stands, as far as secrets go: every header may be one, and the
    address of a channel."""
    name = name.lower()
    if key == "spec" and name == "url":
        return _ADDRESS
    return _IN_HEADERS if key == "headers" and name not in _SECRETS else name


def _resolve(value: Placed, environ: Mapping[str, str], key: str = "") -> Any:
    if _is_reference(value, key):
        return environ[value.text("env")]
    if isinstance(value.value, dict):
        return {
            name: _resolve(each, environ, _below(key, name)) for name, each in value.value.items()
        }
    if isinstance(value.value, list):
        return [_resolve(each, environ) for each in value.value]
    return value.value


def place_of(documents: list[Document], path: str) -> tuple[Place | None, str]:
    """The place in the files that a server's path such as `documents[2].spec.model` means, and
    the path below its document."""
    steps = [step for step in re.split(r"[.\[\]/]+", path) if step]
    if steps and steps[0] == "documents":
        steps = steps[1:]
    if not steps or not steps[0].isdigit() or int(steps[0]) >= len(documents):
        return None, path
    document = documents[int(steps[0])]
    return document.source.at(steps[1:]), ".".join(steps[1:])
