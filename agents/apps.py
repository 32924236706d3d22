from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from agents.models import Agent, AgentVersion, Model, ModelRoute, Provider, Session
        from agents.selectors.figures import agents_figures
        from agents.services.approving import ToolCallApprovals
        from agents.services.doubting import InDoubtApprovals
        from agents.services.raising import BudgetRaises
        from agents.subscribers import join
        from agents.tools.registry import BUILTIN_TOOLS
        from governance.contracts import ApprovalKind
        from governance.registry import (
            SealedColumn,
            approval_kind_register,
            sealed_column_register,
        )
        from governance.services.activity import activity_register
        from observability.telemetry import readings_register
        from plugins.registry import builtins_register

        join()
        readings_register(agents_figures)
        builtins_register(BUILTIN_TOOLS.values())
        approval_kind_register(ApprovalKind.TOOL_CALL, ToolCallApprovals())
        approval_kind_register(ApprovalKind.IN_DOUBT, InDoubtApprovals())
        approval_kind_register(ApprovalKind.BUDGET_RAISE, BudgetRaises())
        sealed_column_register(
            SealedColumn(
                model=Provider,
                column="sealed_key",
                purpose="secret",
                name=lambda row: f"provider:{row.pk}",
            )
        )
        times = ["created_at", "updated_at"]
        activity_register(Agent, workspace="workspace_id", exclude=times)
        activity_register(AgentVersion, workspace="agent.workspace_id", exclude=["created_at"])
        activity_register(Provider, workspace="workspace_id", exclude=[*times, "sealed_key"])
        activity_register(Model, workspace="workspace_id", exclude=times)
        activity_register(ModelRoute, workspace="workspace_id")
        activity_register(Session, workspace="workspace_id", exclude=times)
