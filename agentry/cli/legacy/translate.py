"""One `.agentry.yaml` with what it includes, translated."""

from pathlib import Path
from typing import Any

from agentry.cli.documents.places import MAX_BYTES, Finding, Place, Placed, Unreadable, read_yaml
from agentry.cli.legacy.models import Models, read_routes
from agentry.cli.legacy.notes import Translation
from agentry.cli.legacy.roles import read_role
from agentry.cli.legacy.sandboxes import allowed_tools, keep_only, site_engine
from agentry.cli.legacy.settings import read_limits, report_rest
from agentry.cli.legacy.tools import SAFE, ours_of, read_tools

DEFAULT_AGENT = "default"
_TOP_ROLE = "agent_0"
_NEUTRAL_PROMPT = "You are an agent. Do the task you are given with the tools you have."


def translate(path: Path) -> Translation:
    """Read a configuration or role file. Raises `Unreadable` when it is not even YAML."""
    source = _read(path)
    translation = Translation()
    models = Models(translation)
    if _is_role(source):
        read_role(source, path.stem, translation, models)
        return translation
    models.read(source.get("models"))
    read_routes(source.get("routes"), translation)
    engine = site_engine(source, translation)
    tools = read_tools(source.get("tools"), engine, translation)
    limits = read_limits(source, translation)
    roles = _include(source, path, translation, models)
    _default_agent(source, tools, roles, translation)
    for document in translation.documents:
        if document["kind"] == "Agent" and limits:
            document["spec"]["limits"] = dict(limits)
    if (allowed := allowed_tools(source, translation)) is not None:
        known = [ours_of(name, translation) for name in allowed]
        keep_only(translation.documents, known, list(SAFE))
    report_rest(source, translation)
    translation.notes.sort()
    return translation


def _read(path: Path) -> Placed:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unreadable([Finding(Place(str(path), 1, 1), f"larger than {MAX_BYTES} bytes.")])
        documents = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "not UTF-8 text"
        raise Unreadable([Finding(Place(str(path), 1, 1), f"{told}.")]) from error
    if any(isinstance(each.value, dict) and "apiVersion" in each.value for each in documents):
        told = f"holds documents already; apply them: agentry apply -f {path}"
        raise Unreadable([Finding(Place(str(path), 1, 1), told)])
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise Unreadable([Finding(Place(str(path), 1, 1), "must hold one mapping.")])
    return documents[0]


def _is_role(source: Placed) -> bool:
    return bool({"prompt", "personality"} & set(source.value)) and "models" not in source.value


def _include(
    source: Placed, path: Path, translation: Translation, models: Models
) -> dict[str, str]:
    """Translate the roles a file includes: their file's stem → the agent's name."""
    roles: dict[str, str] = {}
    include = source.get("include")
    entries = include.items() if include and isinstance(include.value, list) else [include]
    for entry in entries:
        if entry is None or entry.value is None:
            continue
        found = find_include(path, str(entry.value))
        if not found:
            translation.unsupported(entry.place, f"include {entry.value}: there is no such file.")
        for file in found:
            try:
                role = _read(file)
            except Unreadable as error:
                for finding in error.findings:
                    translation.unsupported(finding.place, finding.sentence)
                continue
            if not _is_role(role):
                translation.unsupported(
                    entry.place, f"include {entry.value}: {file} is not a role; not imported."
                )
                continue
            roles[file.stem] = read_role(role, file.stem, translation, models)
    return roles


def find_include(path: Path, name: str) -> list[Path]:
    """The files an include means: beside the file, then in `templates/` of each parent folder.

    A folder means the role files in it. Never outside of the folders searched.
    """
    folder = path.resolve().parent
    # `templates/roles/x.yaml` and `roles/x.yaml` mean the same file of a parent's templates.
    below_templates = name.removeprefix("templates/")
    parents = (folder, *folder.parents)
    places = [(folder, name), *((parent / "templates", below_templates) for parent in parents)]
    for base, below in places:
        found = (base / below).resolve()
        if not found.is_relative_to(base.resolve()):
            continue
        if found.is_file():
            return [found]
        if found.is_dir():
            return sorted(each for each in found.iterdir() if each.suffix in (".yaml", ".yml"))
    return []


def _default_agent(
    source: Placed, tools: list[str], roles: dict[str, str], translation: Translation
) -> None:
    """The earlier tool answered as one nameless agent; here it is called `default`."""
    if DEFAULT_AGENT in translation.names("Agent"):
        return
    top = roles.get(_TOP_ROLE)
    spec: dict[str, Any] = {"prompt": _NEUTRAL_PROMPT}
    place = source.at(("tools",))
    if top is not None:
        role = next(
            each["spec"]
            for each in translation.documents
            if each["kind"] == "Agent" and each["metadata"]["name"] == top
        )
        spec = {key: role[key] for key in ("prompt", "model", "variables") if key in role}
        translation.changed(source.at(("include",)), f"Agent default speaks with the role {top}.")
    else:
        translation.changed(
            place, "Agent default was written: it answers when no agent is named. See its prompt."
        )
    if source.get("tools") is not None:
        spec["tools"] = tools
    others = [name for name in roles.values() if name != top]
    if "agent" in tools and others:
        spec["delegates"] = others
    translation.add("Agent", DEFAULT_AGENT, spec)
