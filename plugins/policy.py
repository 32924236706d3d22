"""Whether a call may run. Deny by default for privileged tools.

The seam where policies by rule, approvals and grants join; what is here is the part that needs
none of them.
"""

import msgspec

from plugins.contracts import ToolSpec

VERSION = "builtin-1"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`rule` names what decided, `reason` is for people and for the model."""

    is_allowed: bool
    rule: str
    reason: str = ""
    version: str = VERSION


def decide(spec: ToolSpec) -> Decision:
    """Judge a call of the tool `spec` describes."""
    if spec.privileged:
        return Decision(
            is_allowed=False,
            rule="privileged-needs-approval",
            reason=f"The tool {spec.name} is privileged and nobody can approve calls yet. "
            "Use an unprivileged tool, or ask a person to do this step.",
        )
    return Decision(is_allowed=True, rule=f"unprivileged-{spec.effect.value}")
