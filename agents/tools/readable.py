"""HTML made readable: the words of a page, with headings, lists and links, and nothing else.

The page comes from anywhere, so the reader must cost no more than its length: it goes once from
left to right, builds no tree and looks back at nothing. (The standard library's `html.parser`
takes minutes for 100 kB of `<a <a <a`, and raises on `<![`.) It forgives everything.
"""

import re
from html import unescape

_RAW = frozenset({"script", "style", "textarea", "title", "noscript", "template", "iframe"})
_SILENT = frozenset({"svg", "object", "math", "select"})
_HEADINGS = {"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### ", "h5": "##### ", "h6": "###### "}
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt"}
    | {"fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "main", "nav", "ol"}
    | {"p", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"}
)
# What an opening tag writes.
_OPENERS = {"li": "\n- ", "br": "\n", "td": " | ", "th": " | ", "pre": "\n\n```\n"}
_OPENERS |= {tag: f"\n\n{mark}" for tag, mark in _HEADINGS.items()}
_OPENERS |= dict.fromkeys(_BLOCKS, "\n\n")
_CLOSERS = {"pre": "\n```\n\n"} | dict.fromkeys(_BLOCKS | _HEADINGS.keys(), "\n\n")

_MAX_TAG_CHARACTERS = 10_000
_MAX_LINK_CHARACTERS = 300
_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9-]{0,30})")
_ATTRIBUTE = re.compile(
    r"""\s(href|alt)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
_ENDS = {tag: re.compile(rf"</{tag}\b", re.IGNORECASE) for tag in _RAW}


def readable(html: str) -> str:
    """Return a page's text: its title first, blank lines between blocks, links as [text](url)."""
    reader = _Reader(html)
    reader.read()
    return reader.text()


class _Reader:
    def __init__(self, html: str) -> None:
        self._html = html
        self._at = 0
        self._pieces: list[str] = []
        self._title = ""
        self._silenced_by = ""
        self._silent_depth = 0
        self._preformatted = False
        self._link = ""

    def read(self) -> None:
        html = self._html
        while self._at < len(html):
            opening = html.find("<", self._at)
            if opening < 0:
                break
            self._data(html[self._at : opening])
            self._at = opening
            if not self._markup():
                return
        self._data(html[self._at :])

    def _markup(self) -> bool:
        """Read what begins at `<`; False when nothing readable can follow."""
        html, start = self._html, self._at
        if html.startswith("<!--", start):
            end = html.find("-->", start + 4)
            self._at = end + 3
            return end >= 0
        name = _NAME.match(html, start)
        if name is None and html[start + 1 : start + 2] not in ("!", "?", "/"):
            self._data("<")
            self._at = start + 1
            return True
        end = html.find(">", start)
        if end < 0:
            return False
        for _ in range(3):  # a > may stand in a quoted value
            further = html.find(">", end + 1) if html.count('"', start, end) % 2 else -1
            if further < 0 or further - start > _MAX_TAG_CHARACTERS:
                break
            end = further
        self._at = end + 1
        if name is not None:
            self._tag(name[1].lower(), html[start:end])
        return True

    def _tag(self, tag: str, raw: str) -> None:
        closing = raw.startswith("</")
        if self._silenced_by:
            if tag == self._silenced_by:
                self._silent_depth += -1 if closing else 1
                if not self._silent_depth:
                    self._silenced_by = ""
        elif closing:
            self._close(tag)
        elif tag in _RAW:
            self._skip(tag)
        elif tag in _SILENT and not raw.endswith("/"):
            self._silenced_by, self._silent_depth = tag, 1
        else:
            self._open(tag, raw)

    def _skip(self, tag: str) -> None:
        found = _ENDS[tag].search(self._html, self._at)
        end = found.start() if found else len(self._html)
        if tag == "title" and not self._title:
            self._title = " ".join(unescape(self._html[self._at : end][:1000]).split())
        self._at = end

    def _open(self, tag: str, raw: str) -> None:
        if tag == "a":
            self._end_link()
            href = _attribute(raw, "href")
            if href.startswith(("http://", "https://", "/")) and len(href) <= _MAX_LINK_CHARACTERS:
                self._link = href
                self._pieces.append("[")
        elif tag == "img":
            self._data(_attribute(raw, "alt"))
        else:
            self._pieces.append(_OPENERS.get(tag, ""))
        self._preformatted = self._preformatted or tag == "pre"

    def _close(self, tag: str) -> None:
        if tag == "a":
            self._end_link()
        elif tag != "pre" or self._preformatted:
            self._pieces.append(_CLOSERS.get(tag, ""))
        self._preformatted = self._preformatted and tag != "pre"

    def _end_link(self) -> None:
        if self._link:
            self._pieces.append(f"]({self._link})")
            self._link = ""

    def _data(self, data: str) -> None:
        if not data or self._silenced_by:
            return
        data = unescape(data)
        if not self._preformatted:
            data = re.sub(r"\s+", " ", data)
            if not self._pieces or self._pieces[-1].endswith("\n"):
                data = data.lstrip()
        if data:
            self._pieces.append(data)

    def text(self) -> str:
        self._end_link()
        lines = "".join(self._pieces).split("\n")
        body = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()
        return f"{self._title}\n\n{body}".strip()


def _attribute(raw: str, name: str) -> str:
    if len(raw) > _MAX_TAG_CHARACTERS:
        return ""
    for found in _ATTRIBUTE.finditer(raw):
        if found[1].lower() == name:
            return unescape(found[2] or found[3] or found[4] or "").strip()
    return ""
