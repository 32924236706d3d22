"""The engine of a policy's text: built once a process and text, judged in a process beside it."""

import atexit
from functools import lru_cache

from governance.policy.contracts import PolicyEngine
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool


@lru_cache(maxsize=1)
def _pool() -> RegoPool:
    pool = RegoPool()
    atexit.register(pool.close)
    return pool


@lru_cache(maxsize=64)
def engine_of(source: str) -> PolicyEngine:
    """Return what answers by this permission matrix, tried on an ordinary call before.

    Raises:
        PolicyInvalidError: it is no matrix; every mistake is named with its place.
        UnavailableError: the evaluating processes do not start.
    """
    return RegoEngine.load(compile_matrix(parse_matrix(source)).module, pool=_pool())
