"""Moves of a tool call that the run's owner does not make: one conditional UPDATE each."""

from typing import Any

from django.db.models import Q

from plugins.contracts import CallState
from plugins.ledger import LEDGER
from plugins.models import ToolCall


def calls_move(where: Q, *, target: CallState, **fields: Any) -> int:
    """Move the calls `where` holds for, from whichever states the ledger allows; return how many.

    What `where` says of their state is part of the same UPDATE, so of several movers one wins.
    """
    sources = [state.value for state in LEDGER.sources(target)]
    return (
        ToolCall.objects.filter(where)
        .filter(state__in=sources)
        .update(state=target.value, **fields)
    )
