"""Finding out what a call would change, as evidence for whoever is asked about it."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from core.redaction import redact_or_withhold, redact_text
from plugins.contracts import PlanResult, ToolContext
from plugins.errors import ToolError

if TYPE_CHECKING:
    from plugins.dispatch.door import BoundTool
    from plugins.dispatch.records import PlannedCall

PLAN_SECONDS = 30.0
logger = logging.getLogger(__name__)


async def evidence_of(
    bound: "BoundTool", call: "PlannedCall", context: ToolContext
) -> dict[str, Any]:
    """Return `{"plan": …}`, or `{"plan_problem": sentence}` where it could not be found out.

    Empty for a tool that cannot plan. A plan never keeps a question from being asked.
    """
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
