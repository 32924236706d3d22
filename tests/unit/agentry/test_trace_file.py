"""The trace viewer as one file: what is in it, what its policy lets in, and the commands for it."""

import base64
import gzip
import hashlib
import html
import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentry.cli.main import app
from agentry.viewer.standalone import standalone_page

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = b'{"ts":"</script><script>alert(1)</script>","type":"token"}\n\xff\xfe not text\n'


def _policy(page: str) -> dict[str, str]:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert found is not None
    return dict(part.strip().split(" ", 1) for part in found[1].split(";"))


def _sha256(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def test_the_policy_lets_in_its_own_script_and_sheet_and_nothing_else() -> None:
    page = standalone_page(io.BytesIO(HOSTILE), name="x.jsonl")
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)

    assert script is not None
    assert style is not None
    assert _policy(page) == {
        "default-src": "'none'",
        "script-src": _sha256(script[1]),
        "style-src": _sha256(style[1]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert page.count("<script") == 2, "the viewer's and the trace's, which is no program"
    assert not re.search(r"\b(?:https?:)?//(?!www\.w3\.org/2000/svg)\w", style[1] + page[:600])


def test_a_trace_is_in_the_file_byte_for_byte_and_never_as_markup() -> None:
    page = standalone_page(io.BytesIO(HOSTILE), name='"><script>alert(2)</script>.jsonl')
    inside = re.search(r'id="tv-trace" data-name="([^"]*)">([^<]*)</script>', page)

    assert inside is not None
    assert gzip.decompress(base64.b64decode(inside[2], validate=True)) == HOSTILE
    assert html.unescape(inside[1]) == '"><script>alert(2)</script>.jsonl'
    assert "<script>alert" not in page


def test_the_file_has_every_module_of_the_viewer_once() -> None:
    page = standalone_page()
    assets = ROOT / "agentry" / "viewer" / "assets"
    modules = {path.stem for path in assets.glob("*.js")} - {"page"}

    assert {name: page.count(f"const module_{name} = (() =>") for name in modules} == dict.fromkeys(
        modules, 1
    )
    assert "tv-trace" not in page.split("<script", 1)[0]


def test_the_colours_of_the_file_are_those_of_the_console() -> None:
    def values(sheet: str, theme: str) -> dict[str, str]:
        rules = re.findall(rf'html\[data-theme="{theme}"\] \{{(.*?)\n\}}', sheet, re.DOTALL)
        return dict(re.findall(r"(--[\w-]+): ([^;]+);", rules[0]))

    console = (ROOT / "static" / "console" / "tokens.css").read_text(encoding="utf-8")
    own = (ROOT / "agentry/viewer/assets/standalone.css").read_text(encoding="utf-8")
    for theme in ("light", "dark"):
        mine, theirs = values(own, theme), values(console, theme)
        assert len(mine) > 25
        assert mine == {name: theirs.get(name) for name in mine}, (
            "copy what changed in static/console/tokens.css to standalone.css"
        )


def test_the_sizes_of_the_file_are_those_of_the_console() -> None:
    def values(path: str) -> dict[str, str]:
        sheet = (ROOT / path).read_text(encoding="utf-8")
        rule = re.search(r"^:root \{(.*?)\n\}", sheet, re.MULTILINE | re.DOTALL)
        assert rule is not None
        return dict(re.findall(r"(--(?:text|round)[\w-]*): ([^;]+);", rule[1]))

    mine = values("agentry/viewer/assets/standalone.css")
    theirs = values("static/console/tokens.css")
    assert len(mine) > 5
    assert mine == {name: theirs.get(name) for name in mine}


def test_a_command_writes_the_viewer_with_a_trace_in_it(tmp_path: Path) -> None:
    trace = tmp_path / "run.jsonl"
    trace.write_bytes(HOSTILE)

    made = CliRunner().invoke(app, ["trace", "view", str(trace)])
    again = CliRunner().invoke(app, ["trace", "view", str(trace)])
    replaced = CliRunner().invoke(app, ["trace", "view", str(trace), "--overwrite"])

    assert made.exit_code == 0, made.output
    written = (tmp_path / "run.jsonl.html").read_text(encoding="utf-8")
    assert written == standalone_page(io.BytesIO(HOSTILE), name="run.jsonl")
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    assert replaced.exit_code == 0


def test_a_command_prints_the_empty_viewer() -> None:
    printed = CliRunner().invoke(app, ["trace", "viewer"])

    assert printed.exit_code == 0
    assert printed.output == standalone_page()


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    told = CliRunner().invoke(app, ["trace", "view", str(tmp_path / name), "--to", "x.html"])

    assert told.exit_code == 2
    assert "cannot be read" in told.output
    assert not Path("x.html").exists()
