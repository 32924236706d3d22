"""The form behind the console's sign-in page."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from core.errors import LimitExceededError
from governance.guard.throttle import sign_in_attempt, sign_in_succeeded
from governance.services.signing_in import sign_in_failed, signed_in

_WRONG = "a wrong password, or the console is closed to this account"
_UNSEEN = "too many attempts; no more were looked at"


class SignInForm(AdminAuthenticationForm):
    """Django's, with a bound on failed attempts; `refusal` says that one was refused unseen."""

    refusal: LimitExceededError | None = None

    def clean(self) -> dict[str, Any]:
        account = self.cleaned_data.get("username")
        if not account or not self.cleaned_data.get("password") or self.request is None:
            return super().clean()
        address = self.request.META.get("REMOTE_ADDR", "")
        try:
            sign_in_attempt(
                account,
                address,
                at_limit=lambda: sign_in_failed(account, address, cause=_UNSEEN),
            )
        except LimitExceededError as error:
            self.refusal = error
            raise ValidationError(str(error), code=error.code) from None
        try:
            cleaned = super().clean()
        except ValidationError:
            sign_in_failed(account, address, cause=_WRONG)
            raise
        sign_in_succeeded(account, address)
        signed_in(self.get_user(), address)
        return cleaned
