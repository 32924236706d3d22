"""What the OpenAPI document says about signing in; `core.api.schema` says the rest."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers subclasses
    target_class = "governance.guard.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "agk_…",
            "description": "An API token: `Authorization: Bearer agk_…`.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers subclasses
    target_class = "governance.guard.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The console's session; changes also need X-CSRFToken.",
        }


class WebhookScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers subclasses
    target_class = "governance.guard.hooks.WebhookAuthentication"
    name = "webhook"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "webhook-signature",
            "description": "Standard Webhooks, with the channel's secret.",
        }


class SlackScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers subclasses
    target_class = "governance.guard.hooks.SlackAuthentication"
    name = "slack"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "X-Slack-Signature",
            "description": "Slack's signature (v0), with the app's signing secret.",
        }
