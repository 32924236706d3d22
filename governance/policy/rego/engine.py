"""A policy in Rego, ready to judge: loaded once and refused then, or never quietly wrong."""

from typing import Any

from core.errors import UnavailableError
from governance.errors import PolicyInvalidError
from governance.policy.contracts import (
    PolicyAgent,
    PolicyDecision,
    PolicyInput,
    PolicySubject,
    PolicyTool,
    abnormal,
)
from governance.policy.document import InputTooLargeError, answer, document
from governance.policy.matrix.compile import module_digest
from governance.policy.rego.pool import RegoFailedError, RegoOverrunError, RegoPool
from governance.policy.rego.source import inspect_module

DEADLINE_SECONDS = 0.25

_ORDINARY = PolicyInput(
    subject=PolicySubject(user="nobody", surface="rest"),
    workspace="default",
    agent=PolicyAgent(name="agent", version="1"),
    tool=PolicyTool(name="tool", effect="read"),
)


class RegoEngine:
    """Judges by one Rego module in the processes of `pool`."""

    def __init__(
        self, module: str, *, pool: RegoPool, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        """Use a module that was loaded before; `load` is for new ones."""
        self._module = module
        self._pool = pool
        self._deadline_seconds = deadline_seconds
        self._digest = module_digest(module)

    @classmethod
    def load(
        cls, module: str, *, pool: RegoPool, deadline_seconds: float = DEADLINE_SECONDS
    ) -> "RegoEngine":
        """Return the engine of a module that was read, compiled and tried on an ordinary call.

        Raises:
            PolicyInvalidError: some of it would not mean what it says; nothing was kept.
        UnavailableError: the evaluating processes do not start or are all busy.
        """
        found = inspect_module(module)
        try:
            unknown = pool.check(sorted(found.calls))
        except RegoFailedError as error:
            raise UnavailableError(
                f"No policy can be loaded now: {error}.", remedy="Try again in a moment."
            ) from error
        found.refuse_unknown(unknown)
        engine = cls(module, pool=pool, deadline_seconds=deadline_seconds)
        try:
            engine._answered(document(_ORDINARY))
        except RegoFailedError as error:
            raise PolicyInvalidError(
                f"Policy: it gives no answer to an ordinary call: {error}.",
                remedy="Define `decision` in `package agentry.tool` for every input; begin with "
                '`default decision := {"effect": "deny", "rule": "default"}`.',
            ) from error
        except ValueError as error:
            raise PolicyInvalidError(
                f"Policy: its answer to an ordinary call is no decision: {error}.",
                remedy='Answer with an object such as `{"effect": "ask", "rule": "name"}`.',
            ) from error
        return engine

    @property
    def digest(self) -> str:
        return self._digest

    def decide(self, question: PolicyInput) -> PolicyDecision:
        try:
            seen = document(question)
        except InputTooLargeError:
            return self._abnormal("the call is too large to be judged")
        except (TypeError, ValueError, RecursionError):
            return self._abnormal("the arguments are no JSON")
        try:
            return self._answered(seen)
        except RegoOverrunError as error:
            limit = f"{self._deadline_seconds * 1000:g} ms"
            return self._abnormal(f"{error} (a decision has {limit})")
        except RegoFailedError as error:
            return self._abnormal(f"its evaluation failed: {error}")
        except ValueError as error:
            return self._abnormal(f"its answer is no decision: {error}")

    def evaluate(self, seen: bytes) -> Any:
        """Return what the module answers, as it is.

        Raises:
            RegoFailedError: nothing, or not in time.
        """
        return self._pool.evaluate(
            digest=self._digest,
            module=self._module,
            document=seen,
            seconds=self._deadline_seconds,
        )

    def _answered(self, seen: bytes) -> PolicyDecision:
        return answer(self.evaluate(seen), version=self._digest)

    def _abnormal(self, why: str) -> PolicyDecision:
        return abnormal(why, version=self._digest)
