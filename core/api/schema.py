"""The OpenAPI document: every documented answer includes the problems it may be instead."""

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema

from core.api.problems import CONTENT_TYPE

_DESCRIPTIONS = {
    "400": "The request is malformed; `errors` says where.",
    "401": "No valid credential.",
    "403": "The actor lacks a permission; `detail` names it.",
    "404": "No such thing, or not visible to this actor.",
    "405": "The address has no such method.",
    "406": "No acceptable representation.",
    "409": "The request contradicts something stored.",
    "412": "The resource has changed since it was read.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "Too many requests; see Retry-After.",
    "503": "A needed part is not available; see Retry-After.",
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong, where, and what to do (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "Where the problem is explained."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; branch on this."},
        "instance": {"type": "string"},
        "remedy": {"type": "string"},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "context": {"type": "object", "additionalProperties": True},
        "error_id": {"type": "string", "format": "uuid"},
    },
}


class ProblemSchema(AutoSchema):
    """Adds the problem answers that the guard and strict input can give."""

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        answers: dict[str, Any] = super()._get_response_bodies(direction)
        for status in self._problem_statuses():
            answers.setdefault(status, self._problem(status))
        return answers

    def get_request_serializer(self) -> Any:
        inputs = getattr(self.view, "input_serializers", {})
        action = getattr(self.view, "action", "")
        return inputs[action] if action in inputs else super().get_request_serializer()

    def _problem_statuses(self) -> list[str]:
        statuses = ["400", "401", "403", "404", "406", "429"]
        if self.method.upper() not in {"GET", "HEAD"}:
            statuses += ["409", "412", "413", "415"]
        extra = getattr(self.view, "problem_statuses", {})
        statuses += [str(status) for status in extra.get(getattr(self.view, "action", ""), ())]
        return sorted(set(statuses))

    def _problem(self, status: str) -> dict[str, Any]:
        return {
            "description": _DESCRIPTIONS.get(status, "A problem."),
            "content": {CONTENT_TYPE: {"schema": PROBLEM_SCHEMA}},
        }

    def get_override_parameters(self) -> list[Any]:
        """Document the headers that every write understands."""
        parameters = list(super().get_override_parameters())
        if self.method.upper() in {"GET", "HEAD"}:
            return parameters
        return [*parameters, *_write_headers(self.method)]


def _write_headers(method: str) -> list[Any]:
    from drf_spectacular.utils import OpenApiParameter

    headers = [
        OpenApiParameter(
            "Idempotency-Key",
            str,
            OpenApiParameter.HEADER,
            description="Repeating a request with the same key returns the first answer.",
        )
    ]
    if method.upper() in {"PUT", "PATCH", "DELETE"}:
        headers.append(
            OpenApiParameter(
                "If-Match",
                str,
                OpenApiParameter.HEADER,
                description="The ETag last read; 412 if it has changed.",
            )
        )
    return headers
