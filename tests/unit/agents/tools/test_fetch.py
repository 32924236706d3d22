"""The fetch tool on real answers, and hostile pages."""

import asyncio
import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from agents.tools.fetch import FetchTool
from agents.tools.readable import readable
from plugins.contracts import ToolResult
from plugins.errors import ToolError
from tests.factories.tools import make_context

PAGE = """<!doctype html><html><head><title>The &amp; title</title><style>p{}</style></head>
<body><h1>Hello  there</h1><p>Go <a href="https://e.test/x">here</a>,
now.<ul><li>one<li>two</ul><script>alert("<p>no</p>")</script><pre>a
   b</pre><table><tr><td>1<td>2</table>1 &lt; 2"""
READ = """The & title

# Hello there

Go [here](https://e.test/x), now.

- one
- two

```
a
   b
```

 | 1 | 2

1 < 2"""


class _Pages(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {
        "/page": (200, {"Content-Type": "text/html; charset=utf-8"}, PAGE.encode()),
        "/untyped": (200, {}, b"<!DOCTYPE html><p>x"),
        "/json": (200, {"Content-Type": "application/json"}, b'{"a": 1}'),
        "/latin": (200, {"Content-Type": "text/plain; charset=iso-8859-1"}, b"caf\xe9"),
        "/big": (200, {"Content-Type": "text/plain"}, b"0123456789" * 524_288),
        "/image": (200, {"Content-Type": "image/png"}, b"\x89PNG\r\n\x1a\n\0"),
        "/empty": (200, {"Content-Type": "text/plain"}, b""),
        "/missing": (404, {"Content-Type": "application/json"}, b'{"detail": "no such page"}'),
        "/moved": (302, {"Location": "/json"}, b""),
        "/inside": (302, {"Location": "http://10.0.0.1/"}, b""),
        "/bomb": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 50_000_000)),
    }

    def do_GET(self) -> None:
        status, headers, body = self.pages[self.path]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        return None


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(host: str, page: str, **arguments: Any) -> ToolResult:
    context = make_context(config={"allow_hosts": [host]})
    return asyncio.run(FetchTool().call({"url": f"http://{host}{page}", **arguments}, context))


def test_page_becomes_readable_text(host: str) -> None:
    result = fetch(host, "/page")
    assert result.text == READ
    assert result.metadata["status"] == 200
    assert fetch(host, "/page", format="raw").text == PAGE
    assert fetch(host, "/untyped").text == "x"


def test_other_text_stays_as_it_is(host: str) -> None:
    assert fetch(host, "/json").text == '{"a": 1}'
    assert fetch(host, "/latin").text == "café"
    assert fetch(host, "/empty").text == "(The answer is empty.)"
    moved = fetch(host, "/moved")
    assert (moved.text, moved.metadata["url"]) == ('{"a": 1}', f"http://{host}/json")


def test_5_mb_are_given_in_pages(host: str) -> None:
    first = fetch(host, "/big", limit=10)
    assert first.text == "0123456789\n[truncated, 5242870 more characters; use offset 10]"
    assert fetch(host, "/big", offset=5_242_877).text == "789"
    assert len(fetch(host, "/big").text) < 50_100
    with pytest.raises(ToolError, match="only 5242880 characters"):
        fetch(host, "/big", offset=5_242_880)


def test_bomb_is_cut_and_told(host: str) -> None:
    text = fetch(host, "/bomb", limit=5).text
    assert text.startswith("xxxxx\n[truncated, 8388603 more characters; use offset 5]")
    assert text.endswith("[the answer is longer than 8388608 bytes; the rest was not read]")


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("/missing", "The server answered 404: no such page"),
        ("/image", r"is an image \(PNG\)"),
        ("/inside", r"10\.0\.0\.1:80 is a private address"),
    ],
)
def test_what_cannot_be_had_is_a_sentence(page: str, sentence: str, host: str) -> None:
    with pytest.raises(ToolError, match=sentence):
        fetch(host, page)


def test_private_address_is_refused_without_permission(host: str) -> None:
    with pytest.raises(ToolError, match="loopback address"):
        asyncio.run(FetchTool().call({"url": f"http://{host}/page"}, make_context()))


HOSTILE = [
    "<!", "<!--", "</", "<a ", "<a>", "&", "<?", "<", "<![", "<a b='", '<a href="><', "<script>",
    "</script ", "<a b=c ", "&#", "]]>", "<!DOCTYPE ", "\n \n", "<svg>", "<h1>", '<a">', "<p href",
    "<a href = ", "<title>",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_page_costs_no_more_than_its_length(piece: str) -> None:
    def seconds(size: int) -> float:
        page = piece * (size // len(piece)) + ">"
        before = time.process_time()
        readable(page)
        return time.process_time() - before

    # Far from both a linear reader (0.4 s at worst) and a quadratic one (minutes).
    assert seconds(200_000) < 5


def test_page_that_is_broken_off_keeps_its_words() -> None:
    assert readable("<p>words <b>more") == "words more"
    assert readable('<p>words <a href="x') == "words"
    assert readable("a <!-- never closed") == "a"
    assert readable("<svg><text>no</text></svg>yes") == "yes"
    assert readable("1 < 2 and <3") == "1 < 2 and <3"
