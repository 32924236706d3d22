"""Reading the ledger and the tools."""

from plugins.selectors.calls import calls_in_doubt, calls_of_runs, runs_in_doubt
from plugins.selectors.tools import declared_tools

__all__ = ["calls_in_doubt", "calls_of_runs", "declared_tools", "runs_in_doubt"]
