"""What changed around runs since they were claimed: secrets, policies and budgets of theirs."""

from collections.abc import Sequence
from functools import partial

from agents.execution.context import RunContext
from agents.execution.database import DatabaseThread
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
