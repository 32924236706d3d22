"""The blocking client: drives flows over one pooled connection set. Safe to share among threads."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from agentry.client import flow as flows
from agentry.client.binding import BlockingGroup, blocking, blocking_pages
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


class Runs(BlockingGroup):
    start = blocking(runs.start)
    get = blocking(runs.get)
    list = blocking(runs.listing)
    iterate = blocking_pages(runs.listing)
    messages = blocking_pages(runs.messages)
    checkpoints = blocking_pages(runs.checkpoints)
    files = blocking_pages(runs.files)
    file_difference = blocking(runs.file_difference)
    tool_calls = blocking_pages(runs.tool_calls)
    children = blocking_pages(runs.children)
    events = blocking_pages(runs.events)
    trace = blocking(runs.trace)
    pause = blocking(runs.pause)
    resume = blocking(runs.resume)
    cancel = blocking(runs.cancel)
    fork = blocking(runs.fork)
    replay = blocking(runs.replay)
    why = blocking(runs.why)
    debugger = blocking(debugging.debugger)
    debug = blocking(debugging.debug)
    step = blocking(debugging.step)
    go_on = blocking(debugging.go_on)
    edits = blocking_pages(debugging.edits)
    edit_message = blocking(debugging.edit_message)
    edit_arguments = blocking(debugging.edit_arguments)
    add_message = blocking(debugging.add_message)

    def __init__(self, client: "Client") -> None:
        super().__init__(client)
        self._client = client

    def wait(self, run_id: str, *, timeout_seconds: float | None = None) -> Run:
        """Block until the run rests: finished, or in need of a person. Raises `WaitTimeout`."""
        call = runs.get(run_id)
        return self._client.drive(
            flows.wait(self._client.origin, call, timeout_seconds=timeout_seconds)
        )

    def stream(
        self, run_id: str, *, after: int = 0, patience_seconds: float = 120.0
    ) -> Iterator[Event]:
        """Every event after this sequence, once and in order, until the run ends or yields.

        Broken connections are taken up again; `ConnectionFailed` when that brings nothing for
        `patience_seconds`.
        """
        for item in self.follow(run_id, after=after, patience_seconds=patience_seconds):
            if isinstance(item, Event):
                yield item

    def follow(
        self, run_id: str, *, after: int = 0, patience_seconds: float = 120.0
    ) -> Iterator[Event | Delta]:
        """Like `stream`, with the model's text as it arrives; a broken connection loses some."""
        feed = Feed(run_id, after=after, patience_seconds=patience_seconds)
        while True:
            failure: AgentryError | None = None
            try:
                with closing(self._client.chunks(feed.request(self._client.origin))) as chunks:
                    for chunk in chunks:
                        yield from feed.receive(chunk)
                        if feed.is_broken:
                            break
            except PASSING_FAILURES as error:
                failure = error
            if self._client.drive(feed.is_over(self._client.origin, failure)):
                return


class Agents(BlockingGroup):
    list = blocking(agents.listing)
    iterate = blocking_pages(agents.listing)
    get = blocking(agents.get)
    create = blocking(agents.create)
    update = blocking(agents.update)
    delete = blocking(agents.delete)


class Versions(BlockingGroup):
    list = blocking(agents.versions)
    get = blocking(agents.version)
    draft = blocking(agents.draft)
    publish = blocking(agents.publish)


class Sessions(BlockingGroup):
    list = blocking(agents.sessions)
    get = blocking(agents.session)
    create = blocking(agents.session_create)
    messages = blocking_pages(agents.session_messages)


class Providers(BlockingGroup):
    list = blocking(catalogue.providers)
    get = blocking(catalogue.provider)
    create = blocking(catalogue.provider_create)
    update = blocking(catalogue.provider_update)
    delete = blocking(catalogue.provider_delete)
    check = blocking(catalogue.provider_check)


class Models(BlockingGroup):
    list = blocking(catalogue.models)
    get = blocking(catalogue.model)
    create = blocking(catalogue.model_create)
    delete = blocking(catalogue.model_delete)


class Tools(BlockingGroup):
    list = blocking(catalogue.tools)
    get = blocking(catalogue.tool)


class ToolCalls(BlockingGroup):
    list = blocking(catalogue.tool_calls)
    iterate = blocking_pages(catalogue.tool_calls)
    get = blocking(catalogue.tool_call)
    resolve = blocking(catalogue.tool_call_resolve)


class Approvals(BlockingGroup):
    list = blocking(governing.approvals)
    iterate = blocking_pages(governing.approvals)
    get = blocking(governing.approval)
    approve = blocking(governing.approve)
    deny = blocking(governing.deny)
    choose = blocking(governing.choose)
    grant_proposal = blocking(granting.grant_proposal)
    grant = blocking(granting.grant)


class Grants(BlockingGroup):
    list = blocking(granting.grants)
    iterate = blocking_pages(granting.grants)
    get = blocking(granting.grant_get)
    uses = blocking(granting.grant_uses)
    revoke = blocking(granting.grant_revoke)


class Delegations(BlockingGroup):
    list = blocking(granting.delegations)
    iterate = blocking_pages(granting.delegations)
    create = blocking(granting.delegation_create)
    end = blocking(granting.delegation_end)


class Policies(BlockingGroup):
    get = blocking(governing.policy)
    write = blocking(governing.policy_write)
    publish = blocking(governing.policy_publish)
    versions = blocking(governing.policy_versions)
    version = blocking(governing.policy_version)
    test = blocking(governing.policy_test)
    simulate = blocking(governing.policy_simulate)
    differences = blocking(governing.policy_differences)
    shadow_end = blocking(governing.policy_shadow_end)


class Channels(BlockingGroup):
    list = blocking(channels.channels)
    iterate = blocking_pages(channels.channels)
    get = blocking(channels.channel)
    create = blocking(channels.channel_create)
    update = blocking(channels.channel_update)
    delete = blocking(channels.channel_delete)
    test = blocking(channels.channel_test)


class Budgets(BlockingGroup):
    list = blocking(budgets.budgets)
    iterate = blocking_pages(budgets.budgets)
    get = blocking(budgets.budget)
    create = blocking(budgets.budget_create)
    update = blocking(budgets.budget_update)
    increase = blocking(budgets.budget_increase)
    delete = blocking(budgets.budget_delete)
    tree = blocking(budgets.budget_tree)


class Deliveries(BlockingGroup):
    list = blocking(channels.deliveries)
    iterate = blocking_pages(channels.deliveries)
    get = blocking(channels.delivery)
    redeliver = blocking(channels.delivery_redeliver)


class Secrets(BlockingGroup):
    list = blocking(governing.secrets)
    iterate = blocking_pages(governing.secrets)
    get = blocking(governing.secret)
    set = blocking(governing.secret_set)
    rotate = blocking(governing.secret_rotate)
    delete = blocking(governing.secret_delete)


class Tokens(BlockingGroup):
    list = blocking(account.tokens)
    create = blocking(account.token_create)
    revoke = blocking(account.token_revoke)


class Account(BlockingGroup):
    me = blocking(account.me)
    apply = blocking(account.apply)
    workers = blocking(account.workers)
    worker_drain = blocking(account.worker_drain)
    worker_undrain = blocking(account.worker_undrain)
    cost = blocking(account.cost)
    sandbox_doctor = blocking(account.sandbox_doctor)
    version = blocking(account.version)
    readiness = blocking(account.readiness)


class Client:
    """Talks to one Agentry server as one token.

    Without arguments it reads AGENTRY_URL, AGENTRY_TOKEN and AGENTRY_WORKSPACE, then what
    `agentry login` stored. Close it, or use it in a `with`. `program` is the name in the
    User-Agent of its requests.
    """

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
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.origin = origin_of(
            url, token, workspace, context, timeout_seconds, max_retries, program
        )
        self._http = httpx2.Client(transport=transport, follow_redirects=False)
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

    def send(self, call: Call[T]) -> T:
        """Perform a request described by `agentry.client.calls`."""
        return self.drive(flows.perform(self.origin, call))

    def drive(self, flow: Flow[T]) -> T:
        try:
            effect = next(flow)
            while True:
                try:
                    reply = self._perform(effect)
                except AgentryError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _perform(self, effect: Request | Sleep) -> Reply | None:
        if isinstance(effect, Sleep):
            self._sleep(effect.seconds)
            return None
        try:
            response = self._http.request(
                effect.method,
                effect.url,
                headers=effect.headers,
                content=effect.content,
                timeout=timeout(effect.timeout_seconds),
            )
        except httpx2.HTTPError as error:
            raise connection_failed(error, self.origin) from error
        return reply_of(response, response.content)

    def chunks(self, request: Request) -> Generator[bytes, None, None]:
        """The body of a streamed answer as it arrives; raises as an ordinary request would."""
        try:
            with self._http.stream(
                request.method,
                request.url,
                headers=request.headers,
                timeout=timeout(request.timeout_seconds),
            ) as response:
                if response.status_code != 200:
                    raise flows.problem_of(reply_of(response, response.read()))
                yield from response.iter_bytes()
        except httpx2.HTTPError as error:
            raise connection_failed(error, self.origin) from error

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
