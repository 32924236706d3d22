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
  AuditBrokenError        an audit chain was tampered with
  PolicyCasesFailedError  a policy does not do what its test cases expect
  SecretChangedError      somebody else changed the secret first
  SecretElsewhereError    the site takes the secret from outside its database
NotFoundError
  SecretMissingError      something names a secret that is not there
UnavailableError
  SecretUnreadableError   where a secret comes from does not give it
InvalidInputError
  PolicyInvalidError      a policy cannot be used as it is written
"""

from core.errors import (
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)


class TokenInvalidError(NotAuthenticatedError):
    """The credential is not a token of this site.

    Check that it was copied whole, and that it was issued by this site.
    """

    code = "token_invalid"


class TokenExpiredError(NotAuthenticatedError):
    """The token's time is over.

    Issue a new one.
    """

    code = "token_expired"


class TokenRevokedError(NotAuthenticatedError):
    """Somebody ended the token.

    Issue a new one, if you still may.
    """

    code = "token_revoked"


class EscalationError(PermissionDeniedError):
    """Somebody tried to give away a permission they do not hold.

    Ask somebody who holds it.
    """

    code = "escalation"


class LastAdminError(ConflictError):
    """The change would leave a workspace without an admin.

    Make somebody else admin first.
    """

    code = "last_admin"


class NameTakenError(ConflictError):
    """The name belongs to something else.

    Choose another name.
    """

    code = "name_taken"


class AuditBrokenError(ConflictError):
    """An audit chain does not hold together: somebody changed, removed or added entries.

    Keep the database as it is and find out who could write to it; `manage.py audit verify` and
    `agentry audit verify` name the first broken entry.
    """

    code = "audit_broken"


class PolicyInvalidError(InvalidInputError):
    """A policy cannot be used as it is written; nothing of it was put into force.

    Mend the named lines and load it again.
    """

    code = "policy_invalid"


class PolicyCasesFailedError(ConflictError):
    """A policy does not do what the test cases beside it expect; it was not published.

    Mend the policy or the cases; `detail["failures"]` lists each. Publish it despite them only
    when you know better than they do: that is recorded.
    """

    code = "policy_cases_failed"


class SecretChangedError(ConflictError):
    """Somebody else changed the secret since it was read; nothing was done.

    Look at its version again and decide anew.
    """

    code = "secret_changed"


class SecretElsewhereError(ConflictError):
    """The site's configuration takes this secret from outside the database.

    Change it where it comes from, or ask whoever runs the site to take it from the workspace.
    """

    code = "secret_elsewhere"


class SecretMissingError(NotFoundError):
    """Something names a secret that the workspace does not have.

    Set the secret, or correct the name.
    """

    code = "secret_missing"


class SecretUnreadableError(UnavailableError):
    """Where a secret comes from does not give it now.

    The sentence names the place and what is wrong with it.
    """

    code = "secret_unreadable"
