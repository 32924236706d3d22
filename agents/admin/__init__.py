"""Console pages of agents and their work."""

from agents.admin.runs import RunAdmin

__all__ = ["RunAdmin"]
