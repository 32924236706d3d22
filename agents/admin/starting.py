"""Starting a run from the console: one form, one call of the service that everybody uses.

The form carries an idempotency key of its own, so a double click starts one run.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from agents.models import Agent, Run, Session
from agents.services.runs import run_start
from agents.services.runs.start import MAX_INPUT_CHARS
from core.errors import DomainError, InvalidInputError
from core.ids import new_id
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.saving import refused

if TYPE_CHECKING:
    _AgentChoice = forms.ModelChoiceField[Agent]
    _SessionChoice = forms.ModelChoiceField[Session]
else:  # generic for the type checker only
    _AgentChoice = _SessionChoice = forms.ModelChoiceField

SHOWN_SESSIONS: Final = 50
LIMITS: Final = ("max_iterations", "max_tokens", "max_cost_usd", "wall_seconds")
SURFACE: Final = "console"


def startable_agents(actor: Actor) -> QuerySet[Agent]:
    """Return the agents this person sees and may start: switched on, with a published version."""
    rows = Agent.objects.filter(is_enabled=True, published__isnull=False)
    rows = access.scope(actor, Perm.AGENT_VIEW, rows)
    found: QuerySet[Agent] = access.scope(actor, Perm.RUN_START, rows)
    return found.select_related("workspace").order_by("name", "workspace__name")


def may_start_agent(actor: Actor, agent: Agent) -> bool:
    return startable_agents(actor).filter(pk=agent.pk).exists()


class _AgentField(_AgentChoice):
    def label_from_instance(self, obj: Agent) -> str:
        return f"{obj.name} ({obj.workspace.name})"


class _SessionField(_SessionChoice):
    def label_from_instance(self, obj: Session) -> str:
        return f"{obj.agent.name}: {obj}"


class StartForm(forms.Form):
    """What a run is started with; `run` is the one that was started."""

    agent = _AgentField(
        queryset=Agent.objects.none(),
        empty_label=_("Choose an agent"),
        error_messages={
            "required": _("Choose the agent that shall do it."),
            "invalid_choice": _("This agent cannot be started by you; choose one of the list."),
        },
    )
    input = forms.CharField(
        strip=False,
        max_length=MAX_INPUT_CHARS,
        widget=forms.Textarea(attrs={"rows": 7, "autofocus": True}),
        help_text=_("What the agent shall do, in your words."),
        error_messages={"required": _("The input is empty. Say what the agent shall do.")},
    )
    session = _SessionField(
        queryset=Session.objects.none(),
        required=False,
        empty_label=_("None: the run stands alone"),
        help_text=_("A conversation of this agent to go on with."),
        error_messages={"invalid_choice": _("There is no such session; choose one of the list.")},
    )
    max_iterations = forms.IntegerField(
        required=False, min_value=1, max_value=10_000, label=_("Max model calls")
    )
    max_tokens = forms.IntegerField(required=False, min_value=1)
    max_cost_usd = forms.DecimalField(
        required=False, min_value=Decimal("0.0001"), label=_("Max cost in dollars")
    )
    wall_seconds = forms.FloatField(required=False, min_value=1, label=_("Max seconds"))
    key = forms.UUIDField(widget=forms.HiddenInput)

    run: Run | None = None

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._actor = actor
        agents = startable_agents(actor)
        self.fields["agent"].queryset = agents  # type: ignore[attr-defined]  # a choice of rows
        rows = Session.objects.filter(agent__in=agents).select_related("agent")
        sessions = access.scope(actor, Perm.SESSION_VIEW, rows).order_by("-created_at")
        newest = list(sessions.values_list("pk", flat=True)[:SHOWN_SESSIONS])
        self.fields["session"].queryset = sessions.filter(pk__in=newest)  # type: ignore[attr-defined]  # a choice of rows
        self.initial.setdefault("key", new_id())

    def start(self) -> bool:
        """Start the run; put what the service complains about next to its field."""
        given = self.cleaned_data
        agent: Agent = given["agent"]
        limits = {
            name: str(given[name]) if isinstance(given[name], Decimal) else given[name]
            for name in LIMITS
            if given[name] is not None
        }
        try:
            self.run = run_start(
                actor=self._actor,
                workspace=agent.workspace,
                agent=agent.name,
                input=given["input"],
                session=given["session"].pk if given["session"] else None,
                limits=limits or None,
                idempotency_key=str(given["key"]),
                surface=SURFACE,
            )
        except InvalidInputError as error:
            refused(self, error, places={})
        except DomainError as error:
            self.add_error(None, str(error))
        return self.run is not None


def chosen_at_first(request: HttpRequest) -> dict[str, Any]:
    """Return what the address asks to be filled in; what is no id is left out."""
    found: dict[str, Any] = {}
    for name in ("agent", "session"):
        try:
            found[name] = UUID(request.GET.get(name, ""))
        except ValueError:
            continue
    return found
