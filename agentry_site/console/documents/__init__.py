"""Import and export: what workspaces hold as the YAML that `agentry apply -f` reads."""

from agentry_site.console.documents.page import DocumentsPage
from agentry_site.console.documents.taking import export_selected

__all__ = ["DocumentsPage", "export_selected"]
