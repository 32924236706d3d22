"""Answers kept for questions that come again: an answer is a function of policy and question."""

import hashlib
import threading
from collections import OrderedDict

import msgspec

from governance.policy.contracts import PolicyDecision, PolicyEngine, PolicyInput

MAX_ANSWERS = 4096


class CachedEngine:
    """Asks `inner` once for equal questions. Keeps no answer that was abnormal.

    `sees_run`: the policy looks at the id of the run, so only questions of one run are equal.
    """

    def __init__(
        self, inner: PolicyEngine, *, sees_run: bool, max_answers: int = MAX_ANSWERS
    ) -> None:
        self._inner = inner
        self._sees_run = sees_run
        self._max_answers = max_answers
        self._kept: OrderedDict[bytes, PolicyDecision] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def digest(self) -> str:
        return self._inner.digest

    def decide(self, question: PolicyInput) -> PolicyDecision:
        asked = question if self._sees_run else msgspec.structs.replace(question, run_id="")
        try:
            key = hashlib.sha256(asked.canonical()).digest()
        except (TypeError, ValueError, RecursionError):
            return self._inner.decide(question)  # which says what is wrong with it
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        decision = self._inner.decide(question)
        if not decision.is_abnormal:
            with self._lock:
                self._kept[key] = decision
                while len(self._kept) > self._max_answers:
                    self._kept.popitem(last=False)
        return decision
