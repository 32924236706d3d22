"""What can go wrong around who may do what.

NotAuthenticatedError
  TokenInvalidError       not a token of this site
  TokenExpiredError       its time is over
  TokenRevokedError       somebody ended it
PermissionDeniedError
  EscalationError         giving away what one does not hold
ConflictError
  LastAdminError          a workspace would be left without an admin
  NameTakenError          the name belongs to something else
"""

from core.errors import ConflictError, NotAuthenticatedError, PermissionDeniedError


class TokenInvalidError(NotAuthenticatedError):
    code = "token_invalid"


class TokenExpiredError(NotAuthenticatedError):
    code = "token_expired"


class TokenRevokedError(NotAuthenticatedError):
    code = "token_revoked"


class EscalationError(PermissionDeniedError):
    code = "escalation"


class LastAdminError(ConflictError):
    code = "last_admin"


class NameTakenError(ConflictError):
    code = "name_taken"
