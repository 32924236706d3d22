"""What changed around runs since they were claimed: secrets, policies, budgets, limits above."""

from collections.abc import Sequence
from functools import partial

from agents.execution.context import RunContext
from agents.execution.database import DatabaseThread
from agents.execution.spending import payers_above
from governance.selectors.budgets import workspaces_budgeted
from governance.selectors.policies import workspaces_governed
from governance.services.known_secrets import secrets_learn


async def notice(driven: Sequence[RunContext], database: DatabaseThread) -> None:
    """Note it in the contexts of the runs that are driven now; on the loop's thread."""
    workspaces = {context.workspace_id for context in driven}
    await database.run(partial(secrets_learn, workspaces))
    if free := [context for context in driven if not context.is_governed]:
        wanted = {context.workspace_id for context in free}
        governed = await database.run(partial(workspaces_governed, wanted))
        for context in free:
            context.is_governed = context.workspace_id in governed
    if free := [context for context in driven if not context.is_budgeted]:
        wanted = {context.workspace_id for context in free}
        budgeted = await database.run(partial(workspaces_budgeted, wanted))
        for context in free:
            context.is_budgeted = context.workspace_id in budgeted
    if below := [context for context in driven if context.depth and len(context.payers) < 2]:
        roots = {context.run_id: context.root_id for context in below}
        payers = await database.run(partial(payers_above, roots))
        for context in below:
            context.payers = payers.get(context.run_id, context.payers)
