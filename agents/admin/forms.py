"""Forms of the console whose values go to services: unbound to rows, mistakes shown by place."""

from typing import TYPE_CHECKING, Any, ClassVar

import yaml
from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.errors import ScriptError
from agents.models import Agent, AgentVersion, Model, ModelRoute, Provider
from agents.providers.script_reader import read_script

if TYPE_CHECKING:
    _AgentForm = forms.ModelForm[Agent]
    _VersionForm = forms.ModelForm[AgentVersion]
    _ProviderForm = forms.ModelForm[Provider]
    _ModelForm = forms.ModelForm[Model]
    _RouteForm = forms.ModelForm[ModelRoute]
else:  # generic for the type checker only
    _AgentForm = _VersionForm = _ProviderForm = _ModelForm = _RouteForm = forms.ModelForm

FIRST_SPEC = """\
prompt: |
  You are a careful assistant. Say what you do before you do it.
model: ""            # empty: the workspace's routes choose
tools: [echo]        # leave the line out for all safe built-ins
limits:
  max_iterations: 10
"""


class SpecField(forms.CharField):
    """A specification as YAML (JSON is YAML too); its value is the document."""

    widget = forms.Textarea(attrs={"class": "code", "spellcheck": "false", "rows": 24})

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, **options)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        if not text.strip():
            raise forms.ValidationError(
                gettext("A specification is a mapping, such as `prompt: …`.")
            )
        try:
            # Bounded in size and depth, and without aliases, which write a little text out as
            # more than there is memory for.
            document = read_script(text).plain()
        except ScriptError as error:
            place = error.message.removeprefix("Script, ")
            raise forms.ValidationError(f"{place} {error.remedy}".strip()) from error
        if not isinstance(document, dict):
            raise forms.ValidationError(
                gettext("A specification is a mapping, such as `prompt: …`.")
            )
        return document

    def prepare_value(self, value: Any) -> Any:
        return spec_text(value) if isinstance(value, dict) else value


class _Dumper(yaml.SafeDumper):
    """Writes prompts of several lines as blocks, the way people write them."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def spec_text(spec: dict[str, Any]) -> str:
    """Write a specification as YAML, in the order of its author."""
    return yaml.dump(spec, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=88)


class AgentForm(_AgentForm):
    """An agent; `spec` only when it is new, afterwards versions are edited by themselves."""

    spec = SpecField(initial=FIRST_SPEC, label=_("First draft"))

    class Meta:
        model = Agent
        fields: ClassVar = ("workspace", "name", "description", "is_enabled")
        widgets: ClassVar = {"description": forms.Textarea(attrs={"rows": 3})}


class VersionForm(_VersionForm):
    spec = SpecField(label=_("Specification"))

    class Meta:
        model = AgentVersion
        fields: ClassVar = ("spec", "note")


class ProviderForm(_ProviderForm):
    """The key is written and never shown; an empty field leaves it as it is."""

    api_key = forms.CharField(
        required=False,
        label=_("API key"),
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Sealed for this workspace and never shown again. Empty: a stored key stays."),
    )
    forget_key = forms.BooleanField(required=False, label=_("Forget the stored key"))

    class Meta:
        model = Provider
        fields: ClassVar = (
            "workspace", "name", "kind", "base_url", "key_env", "script", "max_concurrency",
            "max_retries", "timeout_seconds", "is_enabled",
        )  # fmt: skip
        labels: ClassVar = {
            "base_url": _("Address"),
            "key_env": _("Key from the environment"),
            "timeout_seconds": _("Time-out in seconds"),
            "max_retries": _("Retries"),
            "max_concurrency": _("Calls at a time"),
            "is_enabled": _("Switched on"),
        }
        help_texts: ClassVar = {
            "base_url": _("Empty: the vendor's own. Else a server that speaks the same protocol."),
            "key_env": _(
                "Instead of an API key: the name of a variable of the workers, such as "
                "OPENAI_API_KEY. The site says which ones are allowed."
            ),
            "max_retries": _("How often a call that failed for a passing reason is made again."),
            "max_concurrency": _("In each worker; more calls wait for their turn."),
        }
        widgets: ClassVar = {
            "script": forms.Textarea(attrs={"class": "code", "spellcheck": "false", "rows": 16})
        }


class ModelForm(_ModelForm):
    class Meta:
        model = Model
        fields: ClassVar = (
            "workspace", "name", "provider", "vendor_name", "fallback", "options",
            "input_price_usd", "output_price_usd", "cache_read_price_usd",
            "cache_write_price_usd", "is_enabled",
        )  # fmt: skip
        labels: ClassVar = {
            "input_price_usd": _("Input"),
            "output_price_usd": _("Output"),
            "cache_read_price_usd": _("Read from a cache"),
            "cache_write_price_usd": _("Written to a cache"),
        }


class WordsField(forms.CharField):
    """Words, one a line; no line at all stands for the empty word, which is found everywhere."""

    widget = forms.Textarea(attrs={"rows": 4})

    def to_python(self, value: Any) -> Any:
        lines = (super().to_python(value) or "").splitlines()
        return [line.strip() for line in lines if line.strip()] or [""]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


class RouteForm(_RouteForm):
    if_contains = WordsField(
        required=False,
        label=_("If the input contains"),
        help_text=_("One word or phrase a line; any of them is enough. Empty: every input."),
    )

    class Meta:
        model = ModelRoute
        fields: ClassVar = ("workspace", "priority", "if_contains", "model")
