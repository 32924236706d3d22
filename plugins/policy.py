"""Whether a call may run: the built-in rule, and the gate where a workspace has a policy.

The built-in rule needs nobody: deny by default for privileged tools. A policy is asked outside, so
its gate is a Protocol that whoever drives calls implements.
"""

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from plugins.contracts import ToolSpec
from sandbox.contracts import Isolation

if TYPE_CHECKING:
    from plugins.dispatch import PlannedCall

VERSION = "builtin-1"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`rule` names what decided, `reason` is for people and for the model.

    `ask`: it is neither allowed nor denied; this is the question to a person. `grant`: a standing
    approval answers that question. `is_unprotected`: the call is a program that runs without a
    sandbox. `question` is what a policy was told of the call beside its
    arguments, so that another can be asked the same later.
    """

    is_allowed: bool
    rule: str
    reason: str = ""
    version: str = VERSION
    is_abnormal: bool = False
    is_unprotected: bool = False
    grant: str = ""
    ask: dict[str, Any] | None = None
    question: dict[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        """Return what the ledger keeps of it."""
        kept: dict[str, Any] = msgspec.to_builtins(self)
        if kept.pop("ask") is not None:
            kept["is_asked"] = True
        for name in ("is_abnormal", "is_unprotected", "grant", "question"):
            if not kept[name]:
                del kept[name]
        return kept


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an approved call does not begin after all; the model is told `sentence`."""

    sentence: str
    is_late: bool = False


class Gate(Protocol):
    """Judges calls of one run by the policy in force; anything abnormal is a no."""

    async def judge(self, call: "PlannedCall") -> Decision | None:
        """Decide about a call that has not begun; None: no policy is in force here."""
        ...

    async def granted(
        self, call: "PlannedCall", decision: Decision, *, attempt: int
    ) -> Decision | None:
        """Take a call that a person would be asked about, where a standing approval covers it, in
        the transaction that counts it; None: ask.

        Raises:
            LeaseLostError: The run has another owner.
        """
        ...

    async def claim(self, call: "PlannedCall", *, attempt: int) -> Refusal | None:
        """Take an approved call in the transaction that compares it with what was approved.

        Raises:
            LeaseLostError: The run has another owner.
        """
        ...


def is_unprotected(spec: ToolSpec) -> bool:
    """Say whether a call of this tool is a program that runs without a sandbox."""
    return spec.sandbox is not None and spec.sandbox.isolation is Isolation.DISABLED


def decide(spec: ToolSpec) -> Decision:
    """Judge a call of the tool `spec` describes by the built-in rule."""
    if spec.privileged:
        return Decision(
            is_allowed=False,
            rule="privileged-needs-approval",
            reason=f"The tool {spec.name} is privileged and this workspace has no policy that "
            "lets anybody approve it. Use an unprivileged tool, or ask a person to do this step.",
            is_unprotected=is_unprotected(spec),
        )
    return Decision(is_allowed=True, rule=f"unprivileged-{spec.effect.value}")
