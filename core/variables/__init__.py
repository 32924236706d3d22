"""The environment variables of the site: one table, from which their pages are generated.

A module a section; a variable is added to the section whose subject it is.
"""

from core.variables.limits import LIMITS
from core.variables.policies import POLICIES
from core.variables.providers import PROVIDERS
from core.variables.sandboxes import SANDBOXES
from core.variables.secrets import SECRETS
from core.variables.services import SERVICES
from core.variables.site import SITE
from core.variables.telemetry import TELEMETRY
from core.variables.variable import Kind, Variable
from core.variables.worker import WORKER

__all__ = ["VARIABLES", "Kind", "Variable"]

VARIABLES: tuple[Variable, ...] = (
    *SITE,
    *SERVICES,
    *WORKER,
    *LIMITS,
    *POLICIES,
    *SANDBOXES,
    *PROVIDERS,
    *SECRETS,
    *TELEMETRY,
)
