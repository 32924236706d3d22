"""Evidence for whoever is asked about a call: where it would run, and what it would change."""

import asyncio
import logging
from typing import Any

import msgspec

from core.redaction import redact_or_withhold, redact_text
from plugins.contracts import PlanResult, ToolContext
from plugins.dispatch.bound import BoundTool
from plugins.dispatch.records import PlannedCall
from plugins.errors import ToolError
from plugins.policy import is_unprotected

PLAN_SECONDS = 30.0
logger = logging.getLogger(__name__)


async def evidence_of(bound: BoundTool, call: PlannedCall, context: ToolContext) -> dict[str, Any]:
    """Return `sandbox` of a program, and `plan`, or `plan_problem` where it was not found out.

    A plan never keeps a question from being asked.
    """
    return {**_place(bound), **await _plan(bound, call, context)}


def _place(bound: BoundTool) -> dict[str, Any]:
    """Say in which sandbox a program runs, as it is declared; nothing of what is no program."""
    profile = bound.spec.sandbox
    if profile is None:
        return {}
    return {
        "sandbox": {
            "engine": profile.isolation.value or "site",
            "is_unprotected": is_unprotected(bound.spec),
            "net": list(profile.net),
        }
    }


async def _plan(bound: BoundTool, call: PlannedCall, context: ToolContext) -> dict[str, Any]:
    if not bound.spec.can_plan:
        return {}
    try:
        async with asyncio.timeout(PLAN_SECONDS):
            found: PlanResult = await bound.tool.plan(call.request.arguments or {}, context)  # type: ignore[attr-defined]  # `can_plan` says that it has one
    except TimeoutError:
        return {"plan_problem": f"It was not found out within {PLAN_SECONDS:g} seconds."}
    except ToolError as error:
        return {"plan_problem": redact_text(str(error))}
    except Exception as error:  # a plugin's defect must not keep a person from being asked
        logger.exception("plan_failed", extra={"tool": bound.spec.name})
        return {"plan_problem": f"Finding it out broke: {type(error).__name__}."}
    return {"plan": redact_or_withhold(msgspec.to_builtins(found))}
