"""Values of secrets: documents say where they are, and nothing else may stand there."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentry.cli.documents.places import Finding, Placed

SECRET = "Secret"  # noqa: S105 - a kind of document
MAX_VALUE_BYTES = 128 * 1024
_FORM = "write valueFrom: {env: NAME} or valueFrom: {file: PATH}."


def wrong_value(document: Placed, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with where a secret's value is said to be."""
    spec = document.get("spec")
    if spec is None or not isinstance(spec.value, dict):
        return  # said already
    source = spec.get("valueFrom")
    if source is None or set(spec.value) != {"valueFrom"}:
        yield Finding(spec.place, f"a value never stands in a file; {_FORM}")
        return
    names = set(source.value) if isinstance(source.value, dict) else set()
    if len(names) != 1 or not names <= {"env", "file"} or not source.text(next(iter(names))):
        yield Finding(source.place, _FORM)
    elif names == {"env"} and not environ.get(source.text("env")):
        sentence = f"the environment variable {source.text('env')} is not set."
        yield Finding(source.at(("env",)), sentence)
    elif names == {"file"} and (why := _unreadable(source)):
        yield Finding(source.at(("file",)), why)


def with_value(document: Placed, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the document as it is sent: with the value in place of where it is."""
    content: dict[str, Any] = document.plain()
    source = document.value["spec"].value["valueFrom"]
    value = environ[source.text("env")] if "env" in source.value else _read(source)
    return {**content, "spec": {"value": value}}


def _file(source: Placed) -> Path:
    """A relative path begins at the folder of the document."""
    return Path(source.place.file).parent / source.text("file")


def _read(source: Placed) -> str:
    text = _file(source).read_bytes().decode("utf-8")
    return text.removesuffix("\n").removesuffix("\r")


def _unreadable(source: Placed) -> str:
    try:
        if _file(source).stat().st_size > MAX_VALUE_BYTES:
            return f"larger than {MAX_VALUE_BYTES} bytes."
        return "" if _read(source) else "the file is empty."
    except OSError as error:
        return f"{error.strerror or error}."
    except UnicodeDecodeError:
        return "not UTF-8 text."
