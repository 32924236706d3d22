"""Messages of governance's channels, sent with the client that asks no private addresses."""

from collections.abc import Callable, Mapping, Sequence

from governance.contracts import Posted
from plugins.errors import ToolError
from plugins.http.safe import SafeClient

_SECONDS = 15.0
_ANSWER_BYTES = 64 * 1024


class SafePoster:
    """See `governance.contracts.Poster`. Private servers are those in `allow_hosts` only."""

    def __init__(self, *, allow_hosts: Callable[[], Sequence[str]]) -> None:
        self._allow_hosts = allow_hosts

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Posted:
        client = SafeClient(allow_hosts=self._allow_hosts())
        try:
            answer = await client.request(
                "POST",
                url,
                headers=headers,
                content=content,
                timeout_seconds=_SECONDS,
                max_bytes=_ANSWER_BYTES,
            )
        except ToolError as error:
            return Posted(problem=str(error))
        return Posted(status=answer.status, body=answer.body)
