"""Calling tools: what goes in, the one door, and how a call is settled."""

from plugins.dispatch.bound import BoundTool
from plugins.dispatch.door import Door
from plugins.dispatch.records import (
    CallRequest,
    EffectLog,
    PlannedCall,
    Settlement,
    arguments_digest,
    arguments_text,
    is_intact,
)
from plugins.dispatch.settling import SHOWN_CHARS, annotated, failure, success

__all__ = [
    "SHOWN_CHARS",
    "BoundTool",
    "CallRequest",
    "Door",
    "EffectLog",
    "PlannedCall",
    "Settlement",
    "annotated",
    "arguments_digest",
    "arguments_text",
    "failure",
    "is_intact",
    "success",
]
