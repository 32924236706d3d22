"""Which pages there are beside those of models, in the order their addresses are looked through."""

from typing import Final

from agentry_site.console.cost import CostPage
from agentry_site.console.documents import DocumentsPage
from agentry_site.console.errors import Errors
from agentry_site.console.find import Find
from agentry_site.console.pages import Page
from agentry_site.console.profile import Profile
from agentry_site.console.profiles import Profiles
from agentry_site.console.queue.page import ApprovalQueue
from agentry_site.console.site_settings import SiteSettings
from agentry_site.console.trace_viewer import TraceViewer
from agentry_site.console.workers import WorkersPage

PAGES: Final[tuple[type[Page], ...]] = (
    Find,
    CostPage,
    Profile,
    SiteSettings,
    Errors,
    WorkersPage,
    DocumentsPage,
    TraceViewer,
    Profiles,
    ApprovalQueue,
)
