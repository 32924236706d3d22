"""What is asked before a run is resumed, cancelled or forked."""

from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agents.models import Checkpoint, Model, Run


class DeedForm(forms.Form):
    """Base: `answers` is what the deed is done with. A deed without questions uses this one."""

    def __init__(self, *args: Any, run: Run | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.run = run

    def answers(self) -> dict[str, Any]:
        return {}


class CancelForm(DeedForm):
    reason = forms.CharField(
        required=False,
        max_length=500,
        help_text=_("Kept with the run, and shown to whoever asks why it ended."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def answers(self) -> dict[str, Any]:
        return {"reason": self.cleaned_data["reason"]}


class ResumeForm(DeedForm):
    """Limits to raise; those left empty stay as they are."""

    max_iterations = forms.IntegerField(required=False, min_value=1, max_value=10_000)
    max_tokens = forms.IntegerField(required=False, min_value=1)
    max_cost_usd = forms.DecimalField(
        required=False, min_value=Decimal("0.0001"), label=_("Max cost in dollars")
    )
    labels_used: ClassVar = {
        "max_iterations": _("model calls used: {iteration}"),
        "max_tokens": _("tokens used: {tokens}"),
        "max_cost_usd": _("spent: ${cost_usd:.4f}"),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.run is None:
            return
        used = {
            "iteration": self.run.iteration,
            "tokens": self.run.input_tokens + self.run.output_tokens,
            "cost_usd": self.run.cost_usd,
        }
        for name, text in self.labels_used.items():
            limit = self.run.limits.get(name)
            now = (
                gettext("no limit now")
                if limit is None
                else gettext("limit now: %(limit)s") % {"limit": limit}
            )
            self.fields[name].help_text = f"{now}; {text.format(**used)}."

    def answers(self) -> dict[str, Any]:
        return {
            name: str(value) if isinstance(value, Decimal) else value
            for name, value in self.cleaned_data.items()
            if value is not None
        }


class ForkForm(DeedForm):
    """Where to start from, and what shall be different."""

    checkpoint = forms.TypedChoiceField(coerce=int)
    model = forms.ChoiceField(
        required=False, help_text=_("Another model for the new run, or the same as before.")
    )
    message = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=_(
            "Replaces the last input when the history ends with one, else continues the "
            "conversation. Empty: the new run goes on as this one did."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.run is None:
            return
        rows = Checkpoint.objects.filter(run=self.run).order_by("-sequence")
        self.fields["checkpoint"].choices = [  # type: ignore[attr-defined]  # a choice field
            (
                row.sequence,
                (
                    ngettext(
                        "%(sequence)s: after %(n)s message",
                        "%(sequence)s: after %(n)s messages",
                        row.message_count,
                    )
                    % {"sequence": row.sequence, "n": row.message_count}
                )
                + (gettext(" (the end)") if row.state.get("phase") == "done" else ""),
            )
            for row in rows
        ]
        names = Model.objects.filter(workspace_id=self.run.workspace_id, is_enabled=True)
        self.fields["model"].choices = [  # type: ignore[attr-defined]  # a choice field
            ("", gettext("The same as before")),
            *((name, name) for name in names.values_list("name", flat=True)),
        ]

    def answers(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            "checkpoint": given["checkpoint"],
            "model": given["model"],
            "message": given["message"] or None,
        }


FORMS: dict[str, type[DeedForm]] = {
    "pause": DeedForm,
    "resume": ResumeForm,
    "cancel": CancelForm,
    "fork": ForkForm,
    "replay": DeedForm,
}
