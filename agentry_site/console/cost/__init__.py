"""The cost page: what was spent, where the heat is, by whom, and what the month will come to."""

from agentry_site.console.cost.page import CostPage

__all__ = ["CostPage"]
