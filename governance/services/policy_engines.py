"""The engines of this site: what answers by a policy, as the settings say.

Engines are shared by the threads of a process and kept by the text they judge by, so that asking
for one again costs nothing. A process that was forked from ours makes its own.
"""

import atexit
import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from django.conf import settings

from governance.policy.cached import CachedEngine
from governance.policy.contracts import PolicyEngine
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from governance.policy.opa import OpaClient, PushedOpaEngine
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool
from governance.policy.rego.source import require_default_deny, sees_run
from governance.policy.sources import PolicyLanguage, compile_policy

MAX_ENGINES = 128
_UNIX = "unix:"


@dataclass(slots=True)
class _Held:
    """What one process has built."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    engines: OrderedDict[tuple[str, ...], PolicyEngine] = field(default_factory=OrderedDict)
    pool: RegoPool | None = None
    clients: dict[tuple[str, str], OpaClient] = field(default_factory=dict)


_held = _Held()
_left_to_parent: list[_Held] = []


def policy_engine(
    source: str, language: PolicyLanguage | str = PolicyLanguage.MATRIX
) -> PolicyEngine:
    """Return what answers by this policy.

    Embedded, a matrix is judged by its own meaning, in this process; the module it compiles to
    gives the same answers and names the version. Rego is judged by processes beside this one. With
    an OPA server both are put there as Rego.

    Raises:
        PolicyInvalidError: It is no policy; every place is named.
    """
    language = PolicyLanguage(language)
    named = hashlib.sha256(source.encode(errors="replace")).hexdigest()
    seconds = settings.POLICY_SECONDS
    key = (language, named, settings.POLICY_ENGINE, settings.OPA_URL, str(seconds))
    with _held.lock:
        if (found := _held.engines.get(key)) is not None:
            _held.engines.move_to_end(key)
            return found
    built = _built(source, language, seconds)
    with _held.lock:
        found = _held.engines.setdefault(key, built)
        while len(_held.engines) > MAX_ENGINES:
            _held.engines.popitem(last=False)
    return found


def policy_check(source: str, language: PolicyLanguage | str) -> None:
    """Read a policy as strictly as it is read before it is put into force.

    Raises:
        PolicyInvalidError: some of it would not mean what it says; every place is named.
        UnavailableError: Rego cannot be checked now.
    """
    if PolicyLanguage(language) is PolicyLanguage.REGO:
        RegoEngine.load(source, pool=_pool(), deadline_seconds=settings.POLICY_SECONDS)
        require_default_deny(source)
    else:
        compile_matrix(parse_matrix(source))


def policy_digest(source: str, language: PolicyLanguage | str) -> str:
    """Return the version that decisions by this policy carry."""
    return compile_policy(source, PolicyLanguage(language)).digest


def _built(source: str, language: PolicyLanguage, seconds: float) -> PolicyEngine:
    if settings.POLICY_ENGINE == "opa":
        compiled = compile_policy(source, language)
        pushed = PushedOpaEngine(
            compiled.module, digest=compiled.digest, client=_client(), deadline_seconds=seconds
        )
        return CachedEngine(pushed, sees_run=sees_run(compiled.module))
    if language is PolicyLanguage.REGO:
        engine = RegoEngine(source, pool=_pool(), deadline_seconds=seconds)
        return CachedEngine(engine, sees_run=sees_run(source))
    matrix = parse_matrix(source)
    return MatrixEngine(matrix, digest=compile_matrix(matrix).digest)


def _pool() -> RegoPool:
    with _held.lock:
        if _held.pool is None:
            _held.pool = RegoPool()
        return _held.pool


def _client() -> OpaClient:
    url, token = settings.OPA_URL, settings.OPA_TOKEN
    with _held.lock:
        if (url, token) not in _held.clients:
            if url.startswith(_UNIX):
                path = url.removeprefix(_UNIX)
                client = OpaClient("http://opa", token=token, socket_path=path)
            else:
                client = OpaClient(url, token=token)
            _held.clients[(url, token)] = client
        return _held.clients[(url, token)]


def close_engines() -> None:
    """End what the engines of this process hold; the next question starts anew."""
    global _held
    held, _held = _held, _Held()
    if held.pool is not None:
        held.pool.close()
    for client in held.clients.values():
        client.close()


def _forget_after_fork() -> None:
    """Connections, processes and locks belong to the parent."""
    global _held
    _left_to_parent.append(_held)  # never collected here: that would speak on its connections
    _held = _Held()


atexit.register(close_engines)
os.register_at_fork(after_in_child=_forget_after_fork)
