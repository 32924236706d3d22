"""The asynchronous client: drives the same flows as `synchronous`, on one event loop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from agentry.client import flow as flows
from agentry.client.binding import AwaitingGroup, awaited, awaited_pages
from agentry.client.calls import (
    account,
    agents,
    budgets,
    catalogue,
    channels,
    debugging,
    governing,
    granting,
    runs,
)
from agentry.client.errors import AgentryError
from agentry.client.feed import PASSING_FAILURES, Feed
from agentry.client.flow import Call, Flow, Reply, Request, Sleep
from agentry.client.records import Delta, Event, Run
from agentry.client.transport import PROGRAM, connection_failed, origin_of, reply_of, timeout

T = TypeVar("T")


class Runs(AwaitingGroup):
    start = awaited(runs.start)
    get = awaited(runs.get)
    list = awaited(runs.listing)
    iterate = awaited_pages(runs.listing)
    messages = awaited_pages(runs.messages)
    checkpoints = awaited_pages(runs.checkpoints)
    files = awaited_pages(runs.files)
    file_difference = awaited(runs.file_difference)
    tool_calls = awaited_pages(runs.tool_calls)
    children = awaited_pages(runs.children)
    events = awaited_pages(runs.events)
    trace = awaited(runs.trace)
    pause = awaited(runs.pause)
    resume = awaited(runs.resume)
    cancel = awaited(runs.cancel)
    fork = awaited(runs.fork)
    replay = awaited(runs.replay)
    why = awaited(runs.why)
    debugger = awaited(debugging.debugger)
    debug = awaited(debugging.debug)
    step = awaited(debugging.step)
    go_on = awaited(debugging.go_on)
    edits = awaited_pages(debugging.edits)
    edit_message = awaited(debugging.edit_message)
    edit_arguments = awaited(debugging.edit_arguments)
    add_message = awaited(debugging.add_message)

    def __init__(self, client: "AsyncClient") -> None:
        super().__init__(client)
        self._client = client

    async def wait(self, run_id: str, *, timeout_seconds: float | None = None) -> Run:
        """Return when the run rests: finished, or in need of a person. Raises `WaitTimeout`."""
        call = runs.get(run_id)
        return await self._client.drive(
            flows.wait(self._client.origin, call, timeout_seconds=timeout_seconds)
        )

    async def stream(
        self, run_id: str, *, after: int = 0, patience_seconds: float = 120.0
    ) -> AsyncIterator[Event]:
        """Every event after this sequence, once and in order; see the blocking client."""
        async with aclosing(
            self.follow(run_id, after=after, patience_seconds=patience_seconds)
        ) as items:
            async for item in items:
                if isinstance(item, Event):
                    yield item

    async def follow(
        self, run_id: str, *, after: int = 0, patience_seconds: float = 120.0
    ) -> AsyncGenerator[Event | Delta, None]:
        """Like `stream`, with the model's text as it arrives; a broken connection loses some."""
        feed = Feed(run_id, after=after, patience_seconds=patience_seconds)
        while True:
            failure: AgentryError | None = None
            try:
                async with aclosing(
                    self._client.chunks(feed.request(self._client.origin))
                ) as chunks:
                    async for chunk in chunks:
                        for item in feed.receive(chunk):
                            yield item
                        if feed.is_broken:
                            break
            except PASSING_FAILURES as error:
                failure = error
            if await self._client.drive(feed.is_over(self._client.origin, failure)):
                return


class Agents(AwaitingGroup):
    list = awaited(agents.listing)
    iterate = awaited_pages(agents.listing)
    get = awaited(agents.get)
    create = awaited(agents.create)
    update = awaited(agents.update)
    delete = awaited(agents.delete)


class Versions(AwaitingGroup):
    list = awaited(agents.versions)
    get = awaited(agents.version)
    draft = awaited(agents.draft)
    publish = awaited(agents.publish)


class Sessions(AwaitingGroup):
    list = awaited(agents.sessions)
    get = awaited(agents.session)
    create = awaited(agents.session_create)
    messages = awaited_pages(agents.session_messages)


class Providers(AwaitingGroup):
    list = awaited(catalogue.providers)
    get = awaited(catalogue.provider)
    create = awaited(catalogue.provider_create)
    update = awaited(catalogue.provider_update)
    delete = awaited(catalogue.provider_delete)
    check = awaited(catalogue.provider_check)


class Models(AwaitingGroup):
    list = awaited(catalogue.models)
    get = awaited(catalogue.model)
    create = awaited(catalogue.model_create)
    delete = awaited(catalogue.model_delete)


class Tools(AwaitingGroup):
    list = awaited(catalogue.tools)
    get = awaited(catalogue.tool)


class ToolCalls(AwaitingGroup):
    list = awaited(catalogue.tool_calls)
    iterate = awaited_pages(catalogue.tool_calls)
    get = awaited(catalogue.tool_call)
    resolve = awaited(catalogue.tool_call_resolve)


class Approvals(AwaitingGroup):
    list = awaited(governing.approvals)
    iterate = awaited_pages(governing.approvals)
    get = awaited(governing.approval)
    approve = awaited(governing.approve)
    deny = awaited(governing.deny)
    choose = awaited(governing.choose)
    grant_proposal = awaited(granting.grant_proposal)
    grant = awaited(granting.grant)


class Grants(AwaitingGroup):
    list = awaited(granting.grants)
    iterate = awaited_pages(granting.grants)
    get = awaited(granting.grant_get)
    uses = awaited(granting.grant_uses)
    revoke = awaited(granting.grant_revoke)


class Delegations(AwaitingGroup):
    list = awaited(granting.delegations)
    iterate = awaited_pages(granting.delegations)
    create = awaited(granting.delegation_create)
    end = awaited(granting.delegation_end)


class Policies(AwaitingGroup):
    get = awaited(governing.policy)
    write = awaited(governing.policy_write)
    publish = awaited(governing.policy_publish)
    versions = awaited(governing.policy_versions)
    version = awaited(governing.policy_version)
    test = awaited(governing.policy_test)
    simulate = awaited(governing.policy_simulate)
    differences = awaited(governing.policy_differences)
    shadow_end = awaited(governing.policy_shadow_end)


class Channels(AwaitingGroup):
    list = awaited(channels.channels)
    iterate = awaited_pages(channels.channels)
    get = awaited(channels.channel)
    create = awaited(channels.channel_create)
    update = awaited(channels.channel_update)
    delete = awaited(channels.channel_delete)
    test = awaited(channels.channel_test)


class Budgets(AwaitingGroup):
    list = awaited(budgets.budgets)
    iterate = awaited_pages(budgets.budgets)
    get = awaited(budgets.budget)
    create = awaited(budgets.budget_create)
    update = awaited(budgets.budget_update)
    increase = awaited(budgets.budget_increase)
    delete = awaited(budgets.budget_delete)
    tree = awaited(budgets.budget_tree)


class Deliveries(AwaitingGroup):
    list = awaited(channels.deliveries)
    iterate = awaited_pages(channels.deliveries)
    get = awaited(channels.delivery)
    redeliver = awaited(channels.delivery_redeliver)


class Secrets(AwaitingGroup):
    list = awaited(governing.secrets)
    iterate = awaited_pages(governing.secrets)
    get = awaited(governing.secret)
    set = awaited(governing.secret_set)
    rotate = awaited(governing.secret_rotate)
    delete = awaited(governing.secret_delete)


class Tokens(AwaitingGroup):
    list = awaited(account.tokens)
    create = awaited(account.token_create)
    revoke = awaited(account.token_revoke)


class Account(AwaitingGroup):
    me = awaited(account.me)
    apply = awaited(account.apply)
    workers = awaited(account.workers)
    worker_drain = awaited(account.worker_drain)
    worker_undrain = awaited(account.worker_undrain)
    cost = awaited(account.cost)
    sandbox_doctor = awaited(account.sandbox_doctor)
    version = awaited(account.version)
    readiness = awaited(account.readiness)


class AsyncClient:
    """`agentry.Client` for asyncio: the same methods, awaited. Close it, or use `async with`."""

    def __init__(
        self,
        url: str = "",
        token: str = "",
        *,
        workspace: str = "",
        context: str = "",
        timeout_seconds: float = 30.0,
        max_retries: int = 3,
        program: str = PROGRAM,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.origin = origin_of(
            url, token, workspace, context, timeout_seconds, max_retries, program
        )
        self._http = httpx2.AsyncClient(transport=transport, follow_redirects=False)
        self._sleep = sleep
        self.runs = Runs(self)
        self.agents = Agents(self)
        self.versions = Versions(self)
        self.sessions = Sessions(self)
        self.providers = Providers(self)
        self.models = Models(self)
        self.tools = Tools(self)
        self.tool_calls = ToolCalls(self)
        self.approvals = Approvals(self)
        self.grants = Grants(self)
        self.delegations = Delegations(self)
        self.policy = Policies(self)
        self.budgets = Budgets(self)
        self.channels = Channels(self)
        self.deliveries = Deliveries(self)
        self.secrets = Secrets(self)
        self.tokens = Tokens(self)
        account_group = Account(self)
        self.me = account_group.me
        self.apply = account_group.apply
        self.workers = account_group.workers
        self.worker_drain = account_group.worker_drain
        self.worker_undrain = account_group.worker_undrain
        self.cost = account_group.cost
        self.sandbox_doctor = account_group.sandbox_doctor
        self.version = account_group.version
        self.readiness = account_group.readiness

    async def send(self, call: Call[T]) -> T:
        """Perform a request described by `agentry.client.calls`."""
        return await self.drive(flows.perform(self.origin, call))

    async def drive(self, flow: Flow[T]) -> T:
        try:
            effect = next(flow)
            while True:
                try:
                    reply = await self._perform(effect)
                except AgentryError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _perform(self, effect: Request | Sleep) -> Reply | None:
        if isinstance(effect, Sleep):
            await self._sleep(effect.seconds)
            return None
        try:
            response = await self._http.request(
                effect.method,
                effect.url,
                headers=effect.headers,
                content=effect.content,
                timeout=timeout(effect.timeout_seconds),
            )
        except httpx2.HTTPError as error:
            raise connection_failed(error, self.origin) from error
        return reply_of(response, response.content)

    async def chunks(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The body of a streamed answer as it arrives; raises as an ordinary request would."""
        try:
            async with self._http.stream(
                request.method,
                request.url,
                headers=request.headers,
                timeout=timeout(request.timeout_seconds),
            ) as response:
                if response.status_code != 200:
                    raise flows.problem_of(reply_of(response, await response.aread()))
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx2.HTTPError as error:
            raise connection_failed(error, self.origin) from error

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
