from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.contracts import SessionStrategy
from agents.models.agent import Agent
from core.ids import new_id
from governance.models import Workspace


def strategy_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in SessionStrategy]


class Session(models.Model):
    """One conversation with an agent: its runs follow one another, at most one is active."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=200, blank=True)
    strategy = models.CharField(
        max_length=20, choices=strategy_choices, default=SessionStrategy.REJECT.value
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.title or str(self.id)
