"""What both clients share about httpx2: its failures, answers and time-outs in our words."""

from importlib.metadata import PackageNotFoundError, version

import httpx2

from agentry.client.errors import ConnectionFailed
from agentry.client.flow import Origin, Reply
from agentry.client.origin import find

PROGRAM = "agentry-python"
_CONNECT_SECONDS = 10.0


def origin_of(
    url: str,
    token: str,
    workspace: str,
    context: str,
    timeout_seconds: float,
    max_retries: int,
    program: str,
) -> Origin:
    found = find(url=url, token=token, workspace=workspace, context=context)
    return Origin(
        url=found.url,
        token=found.token,
        workspace=found.workspace,
        timeout_seconds=timeout_seconds,
        max_retries=max_retries,
        user_agent=f"{program}/{client_version()}",
    )


def client_version() -> str:
    try:
        return version("agentry-cloud")
    except PackageNotFoundError:
        return "0+source"  # run from a checkout that is not installed


def timeout(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def reply_of(response: httpx2.Response, content: bytes) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=headers, content=content)


def connection_failed(error: httpx2.HTTPError, origin: Origin) -> ConnectionFailed:
    if isinstance(error, httpx2.TimeoutException):
        what = f"{origin.url} did not answer in time"
    elif isinstance(error, httpx2.ConnectError):
        what = f"{origin.url} cannot be reached"
    else:
        what = f"The connection to {origin.url} broke"
    told = str(error)
    return ConnectionFailed(
        f"{what} ({told})." if told else f"{what}.",
        remedy="Is the server running, and is this its address? `agentry doctor` looks closer.",
    )
