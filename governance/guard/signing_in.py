"""The form behind the console's sign-in page."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from core.errors import LimitExceededError
from governance.guard.throttle import sign_in_attempt, sign_in_succeeded


class SignInForm(AdminAuthenticationForm):
    """Django's, with a bound on failed attempts; `refusal` says that one was refused unseen."""

    refusal: LimitExceededError | None = None

    def clean(self) -> dict[str, Any]:
        account = self.cleaned_data.get("username")
        if not account or not self.cleaned_data.get("password") or self.request is None:
            return super().clean()
        address = self.request.META.get("REMOTE_ADDR", "")
        try:
            sign_in_attempt(account, address)
        except LimitExceededError as error:
            self.refusal = error
            raise ValidationError(str(error), code=error.code) from None
        cleaned = super().clean()
        sign_in_succeeded(account, address)
        return cleaned
