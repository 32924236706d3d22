"""`fetch`: a page or document from the web, as text."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta

from agents.tools.arguments import Arguments, decode, schema_of
from agents.tools.readable import readable
from agents.tools.text import refuse_binary
from plugins.contracts import EffectClass, ToolContext, ToolResult, ToolSpec
from plugins.errors import ToolError
from plugins.http.safe import MAX_REDIRECTS, Answer, Resolver, SafeClient, system_resolver
from plugins.http.tool import message_of

MAX_BYTES = 8 * 1024 * 1024
MAX_HTML_CHARACTERS = 3_000_000
TIMEOUT_SECONDS = 30.0


class Format(StrEnum):
    TEXT = "text"
    RAW = "raw"


class FetchArguments(Arguments, frozen=True, kw_only=True):
    url: Annotated[
        str,
        Meta(min_length=1, max_length=8000, description="An http or https address, in full."),
    ]
    format: Annotated[
        Format, Meta(description="text makes an HTML page readable; raw gives the body as it is.")
    ] = Format.TEXT
    offset: Annotated[int, Meta(ge=0, description="Characters to skip first.")] = 0
    limit: Annotated[int, Meta(ge=1, le=100_000, description="Most characters to give.")] = 50_000


class FetchTool:
    """GET one URL; see `plugins.http.safe` for what is refused."""

    spec = ToolSpec(
        name="fetch",
        description=(
            "Get a web page or text document by its URL. HTML is turned into readable text unless "
            "format is raw. Redirects are followed. Addresses inside private networks are refused."
        ),
        input_schema=schema_of(FetchArguments),
        effect=EffectClass.READ,
        timeout_seconds=TIMEOUT_SECONDS + 15,
    )

    def __init__(
        self,
        *,
        resolver: Resolver = system_resolver,
        timeout_seconds: float = TIMEOUT_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._resolver = resolver
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(FetchArguments, arguments, "fetch")
        client = SafeClient(
            allow_hosts=context.config.get("allow_hosts", ()), resolver=self._resolver
        )
        answer = await client.request(
            "GET",
            wanted.url,
            headers={
                "accept": "text/html, text/*;q=0.9, application/json;q=0.9, */*;q=0.5",
                "accept-encoding": "gzip, deflate",
                "user-agent": "agentry-fetch",
            },
            timeout_seconds=self._timeout_seconds,
            max_bytes=self._max_bytes,
            max_redirects=MAX_REDIRECTS,
        )
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise ToolError(f"The server answered {answer.status}: {message_of(answer)}")
        text = await asyncio.to_thread(_text, answer, wanted.format)
        return _page(wanted, answer, text)


def _text(answer: Answer, wanted: Format) -> str:
    refuse_binary("The answer", answer.body[:8192])
    text = answer.text()
    is_html = answer.content_type in ("text/html", "application/xhtml+xml") or (
        not answer.content_type and text.lstrip()[:15].lower().startswith(("<!doctype", "<html"))
    )
    return readable(text[:MAX_HTML_CHARACTERS]) if is_html and wanted is Format.TEXT else text


def _page(wanted: FetchArguments, answer: Answer, text: str) -> ToolResult:
    if wanted.offset and wanted.offset >= len(text):
        raise ToolError(
            f"The text has only {len(text)} characters; offset is {wanted.offset}.",
            remedy="Use a smaller offset.",
        )
    end = wanted.offset + wanted.limit
    shown = text[wanted.offset : end] or "(The answer is empty.)"
    if end < len(text):
        shown += f"\n[truncated, {len(text) - end} more characters; use offset {end}]"
    if answer.is_cut:
        shown += f"\n[the answer is longer than {len(answer.body)} bytes; the rest was not read]"
    return ToolResult(
        text=shown,
        metadata={
            "url": answer.url,
            "status": answer.status,
            "content_type": answer.content_type,
            "characters": len(text),
        },
    )
