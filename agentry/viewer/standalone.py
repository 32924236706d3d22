"""Put the viewer's modules together into one HTML file without a server.

The console serves the same modules (`assets/`) one by one. Here they become one script, each module
a scope of its own. The file's own policy lets exactly that script and that sheet in, by their
hashes: nothing that a trace says can run, and nothing can be sent anywhere.
"""

import base64
import gzip
import hashlib
import html
import re
from functools import cache
from importlib.resources import files
from typing import BinaryIO, Final

MAX_TRACE_BYTES: Final = 512 * 1024 * 1024
_ENTRY: Final = "standalone"
_STYLES: Final = ("standalone.css", "viewer.css")
_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*? |class |const )(\w+))", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:async )?(?:function\*? |class |const )(\w+)", re.MULTILINE)

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main class="tv-shell">
<div class="tv-top"><h1>Trace viewer</h1><div id="tv-tools"></div></div>
<div id="trace-viewer"><noscript><p class="notice warning">The viewer reads the file in your \
browser, which takes scripts.</p></noscript></div>
</main>
{trace}<script type="module">{script}</script>
</body>
</html>
"""


def standalone_page(trace: BinaryIO | None = None, *, name: str = "trace.jsonl") -> str:
    """Return the viewer as one HTML file, with the bytes of `trace` in it if there is one.

    Raises:
        ValueError: The trace is larger than the viewer opens.
    """
    script, style = _script(), _style()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    inside = "" if trace is None else _packed(trace, name)
    title = "Trace viewer" if trace is None else f"{name} - trace viewer"
    return _PAGE.format(
        policy=policy, title=html.escape(title), style=style, trace=inside, script=script
    )


def _packed(trace: BinaryIO, name: str) -> str:
    """Compressed base64 has no character that means anything to a page."""
    content = trace.read(MAX_TRACE_BYTES + 1)
    if len(content) > MAX_TRACE_BYTES:
        raise ValueError("The trace is larger than 512 MiB, which is the most the viewer opens.")
    packed = base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode("ascii")
    opening = f'<script type="text/plain" id="tv-trace" data-name="{html.escape(name)}">'
    return f"{opening}{packed}</script>\n"


@cache
def _style() -> str:
    style = "".join(_asset(name) for name in _STYLES)
    if "</" in style:
        raise ValueError("A sheet of the viewer would end its own element.")
    return style


@cache
def _script() -> str:
    ordered: list[str] = []
    _order(_ENTRY, ordered, ())
    script = "".join(_scope(module) for module in ordered)
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("A module of the viewer would end its own element.")
    return script


def _order(module: str, ordered: list[str], above: tuple[str, ...]) -> None:
    """Add what a module needs, then the module.

    Raises:
        ValueError: Modules need each other in a circle.
    """
    if module in above:
        raise ValueError(f"Modules of the viewer import in a circle: {' → '.join(above)}.")
    for _, needed in _IMPORT.findall(_asset(f"{module}.js")):
        _order(needed, ordered, (*above, module))
    if module not in ordered:
        ordered.append(module)


def _scope(module: str) -> str:
    """Return a module as a function that is called once and gives what it exports."""
    source = _asset(f"{module}.js")
    names = ", ".join(_EXPORTED.findall(source))
    body = _IMPORT.sub(r"const { \1 } = module_\2;\n", source)
    body = _EXPORT.sub("", body)
    if re.search(r"^(?:import|export)\b", body, re.MULTILINE):
        raise ValueError(f"{module}.js imports or exports in a way that is not understood here.")
    return f"const module_{module} = (() => {{\n{body}return {{ {names} }};\n}})();\n"


def _asset(name: str) -> str:
    return files("agentry.viewer").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
