"""Role files of the earlier tool, in all three generations: agents of ours.

first    name, prompt, tools
second   name, personality, commands, builtins, model
third    name, prompt, model {provider, options}, restricted_tools, capabilities, metadata
"""

import re
from typing import Any

from agentry.cli.documents.places import Placed
from agentry.cli.legacy.models import Models, safe_name, strict_name
from agentry.cli.legacy.notes import Translation
from agentry.cli.legacy.tools import builtin, name_builtin

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_READ = frozenset(
    {"name", "prompt", "personality", "tools", "builtins", "model", "restricted_tools"}
)
_WHY_NOT = {
    "commands": "are not given one by one: add bash to its tools, or declare each as a command",
    "capabilities": "is only a label; it had no effect",
    "metadata": "is only a label; it had no effect",
}


def read_role(role: Placed, fallback_name: str, translation: Translation, models: Models) -> str:
    """Translate one role into an Agent and return its name."""
    name = role.text("name") or fallback_name
    new = strict_name(name)
    prompt = role.text("prompt") or role.text("personality")
    if not prompt.strip():
        translation.changed(role.place, f"role {name} has no prompt; a neutral one was written.")
        prompt = f"You are {name}. Do the task you are given with the tools you have."
    spec: dict[str, Any] = {"prompt": prompt}
    model = _model(role, name, translation, models)
    if model:
        spec["model"] = model
    tools = _tools(role, translation)
    if tools is not None:
        spec["tools"] = tools
    variables = dict.fromkeys(_VARIABLE.findall(prompt), "")
    if variables:
        spec["variables"] = variables
        translation.changed(
            role.at(("prompt",)),
            f"role {name}: {', '.join(variables)} became variables that are empty unless given.",
        )
    for key in role.value:
        if key not in _READ:
            reason = _WHY_NOT.get(key, "is not known")
            translation.unsupported(role.keys[key], f"role {name}: {key} {reason}.")
    translation.add("Agent", new, spec)
    translation.kept(role.place, f"role {name} → Agent {new}.")
    return new


def _model(role: Placed, name: str, translation: Translation, models: Models) -> str | None:
    model = role.get("model")
    if model is None or model.value in (None, ""):
        return None
    if isinstance(model.value, dict):
        return models.read_one(model, f"{name}-model")
    wanted = safe_name(str(model.value))
    if wanted in translation.names("Model"):
        return wanted
    translation.unsupported(
        model.place, f"role {name}: the model {model.value!r} is not in the file; left to routes."
    )
    return None


def _tools(role: Placed, translation: Translation) -> list[str] | None:
    """The role's tools; None when it names none, which means the safe built-ins."""
    declared = translation.names("Tool")
    usable: list[str] | None = None
    for key in ("tools", "builtins"):
        listed = role.get(key)
        if listed is None:
            continue
        usable = usable or []
        for each in listed.items():
            name = each.text("name") if isinstance(each.value, dict) else str(each.value)
            ours = name if name in declared else name_builtin(each, name, translation)
            if ours and ours not in usable:
                usable.append(ours)
    restricted = role.get("restricted_tools")
    if restricted is not None and usable is not None:
        refused = {builtin(str(each.value)) or str(each.value) for each in restricted.items()}
        usable = [each for each in usable if each not in refused]
        translation.changed(
            restricted.place, "restricted_tools were taken out of the role's tools."
        )
    elif restricted is not None:
        translation.unsupported(
            restricted.place, "restricted_tools without tools: list the tools the agent may use."
        )
    return usable
