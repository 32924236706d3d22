"""Models and routes of the earlier tool: providers, models and routes of ours."""

import re
from typing import Any

from agentry.cli.documents.places import Placed
from agentry.cli.legacy.notes import Translation

# Its provider names: our kind, the address it meant, the variable it read, the model it assumed.
_PROVIDERS: dict[str, tuple[str, str, str, str]] = {
    "openai": ("openai", "", "OPENAI_KEY", "gpt-4o"),
    "anthropic": ("anthropic", "", "ANTHROPIC_KEY", ""),
    "claude": ("anthropic", "", "ANTHROPIC_KEY", ""),
    "gemini": ("gemini", "", "GEMINI_API_KEY", ""),
    "google": ("gemini", "", "GEMINI_API_KEY", ""),
    "ollama": ("openai", "http://127.0.0.1:11434/v1", "", ""),
    "mock": ("scripted", "", "", "mock"),
}
_ADDRESSES = ("base_url", "url", "endpoint", "host")
# Options both sides know under some name.
_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "max_output_tokens": "max_output_tokens",
    "seed": "seed",
    "stop": "stop",
}
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_UNSTRICT = re.compile(r"[^a-z0-9_-]+")


def safe_name(text: str) -> str:
    """A name that a Model may have."""
    return _UNSAFE.sub("-", text).strip("-._")[:100] or "unnamed"


def strict_name(text: str) -> str:
    """A name that everything else may have: lower case, letters, digits, `_` and `-`."""
    return _UNSTRICT.sub("-", text.lower()).strip("-_")[:63] or "unnamed"


class Models:
    """Translates models one by one; models that share a provider's settings share the provider."""

    def __init__(self, translation: Translation) -> None:
        self._translation = translation
        self._providers: dict[str, dict[str, Any]] = {}

    def read(self, models: Placed | None) -> None:
        if models is None:
            return
        if not isinstance(models.value, list):
            self._translation.unsupported(models.place, "models is not a list; ignored.")
        for each in models.items():
            self.read_one(each, each.text("name"))

    def read_one(self, model: Placed, name: str) -> str | None:
        """Translate one `{name, provider, options}`; the model's new name if it could be."""
        told = self._translation
        kind = model.text("provider").lower()
        if not isinstance(model.value, dict) or not name or not kind:
            told.unsupported(model.place, "a model without a name or provider; not imported.")
            return None
        for key in model.value:
            if key not in ("name", "provider", "options"):
                told.unsupported(model.keys[key], f"model {name}: {key} is not known; ignored.")
        options = model.get("options")
        if kind not in _PROVIDERS:
            known = ", ".join(sorted(_PROVIDERS))
            told.unsupported(
                model.at(("provider",)),
                f"model {name}: there is no provider {kind!r} (known: {known}). If it speaks "
                "OpenAI's protocol, write a Provider of kind openai with its base_url.",
            )
            return None
        vendor_name = (options.text("model") if options else "") or _PROVIDERS[kind][3]
        if not vendor_name:
            told.unsupported(model.place, f"model {name}: options.model is missing; not imported.")
            return None
        new_name = safe_name(name)
        if new_name in told.names("Model"):
            told.unsupported(model.place, f"model {name} is given twice; the first one is used.")
            return new_name
        spec: dict[str, Any] = {
            "provider": self._provider(kind, name, model, options),
            "vendor_name": vendor_name,
        }
        kept = self._options(name, options)
        if kept:
            spec["options"] = kept
        told.add("Model", new_name, spec)
        told.kept(model.place, f"model {name} → Model {new_name} ({vendor_name}).")
        return new_name

    def _provider(self, kind: str, name: str, model: Placed, options: Placed | None) -> str:
        ours, address, variable, _ = _PROVIDERS[kind]
        spec: dict[str, Any] = {"kind": ours}
        given = next((options.text(key) for key in _ADDRESSES if options and options.text(key)), "")
        if given or address:
            spec["base_url"] = given or address
        key = options.get("key") or options.get("api_key") if options else None
        variable = self._variable(kind, name, variable, key)
        if variable:
            spec["api_key"] = {"env": variable}
        for provider, known in self._providers.items():
            if known == spec:
                return provider
        new = kind if kind not in self._providers else f"{kind}-{strict_name(name)}"
        self._providers[new] = spec
        self._translation.add("Provider", new, spec)
        if kind == "mock":
            place = model.at(("provider",))
            self._translation.changed(
                place, f"provider mock → Provider {new} of kind scripted, with its built-in script."
            )
        return new

    def _variable(self, kind: str, name: str, usual: str, key: Placed | None) -> str:
        """The environment variable the key is read from; a key in the file is never copied."""
        if key is None or key.value in (None, ""):
            return usual
        match = _VARIABLE.fullmatch(str(key.value).strip())
        if match:
            return match[1]
        variable = usual or f"{kind.upper()}_KEY"
        self._translation.changed(
            key.place,
            f"model {name}: the key in the file is not copied. Set {variable} to it when applying, "
            "and take it out of the file.",
        )
        return variable

    def _options(self, name: str, options: Placed | None) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        if options is None or not isinstance(options.value, dict):
            return kept
        for key, value in options.value.items():
            if key in _OPTIONS:
                kept[_OPTIONS[key]] = _number(value.plain())
            elif key not in ("key", "api_key", "model", *_ADDRESSES):
                self._translation.unsupported(
                    options.keys[key], f"model {name}: the option {key} is not known; ignored."
                )
        return kept


def _number(value: Any) -> Any:
    """The earlier tool wrote numbers as text, too."""
    if isinstance(value, str):
        try:
            return int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError:
            return value
    return value


def read_routes(routes: Placed | None, translation: Translation) -> None:
    if routes is None:
        return
    models = translation.names("Model")
    for number, route in enumerate(routes.items(), start=1):
        model = route.text("model")
        words = route.get("if_contains")
        if safe_name(model) not in models:
            translation.unsupported(
                route.at(("model",)), f"route {number}: the model {model!r} was not imported."
            )
            continue
        contains = [str(each.value or "") for each in words.items()] if words else [""]
        translation.add(
            "Route",
            f"route-{number}",
            {"priority": number * 10, "if_contains": contains, "model": safe_name(model)},
        )
        everything = "" in contains
        told = "everything" if everything else ", ".join(contains)
        translation.kept(route.place, f"route for {told} → Route route-{number}.")
        if everything and number < len(routes.items()):
            translation.changed(
                route.place, f"route {number} matches everything; later routes are never asked."
            )
