"""One user cannot take every live view a process can serve."""

from typing import Any
from uuid import UUID

import pytest

from core.errors import LimitExceededError
from core.ids import new_id
from governance.contracts import Actor
from observability.live import viewer as module
from observability.live.viewer import Target, Viewer


class _Subscription:
    def close(self, code: int, reason: str) -> None: ...


class _Hub:
    """Serves any topic of one workspace."""

    def __init__(self) -> None:
        self.reader = self
        self.workspace_id = new_id()

    async def workspace_of_run(self, run_id: UUID) -> UUID:
        return self.workspace_id

    async def subscribe(self, topic: Any, after: Any) -> Any:
        return _Subscription()


class _Gate:
    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    async def authenticate(self, scope: Any) -> Actor:
        return self.actor

    async def may(self, actor: Actor, perm: Any, workspace_id: UUID) -> bool:
        return True


async def test_a_user_has_a_bounded_number_of_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VIEWS_PER_USER", 2)
    hub: Any = _Hub()
    greedy: Any = _Gate(Actor(user_id=new_id(), username="greedy"))
    modest: Any = _Gate(Actor(user_id=new_id(), username="modest"))
    target = Target(run_id=new_id())

    views = [await Viewer.open(hub, greedy, {}, target, None) for _ in range(2)]
    with pytest.raises(LimitExceededError):
        await Viewer.open(hub, greedy, {}, target, None)
    views.append(await Viewer.open(hub, modest, {}, target, None))

    views.pop(0).close()
    views.append(await Viewer.open(hub, greedy, {}, target, None))
    for view in views:
        view.close()
