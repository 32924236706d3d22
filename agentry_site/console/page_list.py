"""Which pages there are beside those of models, in the order their addresses are looked through."""

from typing import Final

from agentry_site.console.find import Find
from agentry_site.console.pages import Page
from agentry_site.console.queue.page import ApprovalQueue

PAGES: Final[tuple[type[Page], ...]] = (Find, ApprovalQueue)
