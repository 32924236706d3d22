"""Whatever a person reads in a template goes through the catalogue of their language."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, SERVER, modules, nodes

TEMPLATES = sorted(
    [*(ROOT / "templates").rglob("*.html"), *ROOT.glob("*/templates/**/*.html")],
)
# What is said of an element to those who cannot see it, or before it is filled.
READ_ATTRIBUTES = {"title", "aria-label", "aria-description", "placeholder", "alt", "data-label"}
CODE = {"code", "kbd", "pre", "script", "style"}
NAMES = {"CSV", "JSON", "UTC"}  # the same in every language
VALUES = {"yes,no", "rtl,ltr,auto", "en"}  # for scripts and browsers

_MARKED = re.compile(r"({%\s*blocktranslate\b.*?%})(.*?){%\s*endblocktranslate\s*%}", re.DOTALL)
_COMMENT = re.compile(r"{% comment %}.*?{% endcomment %}", re.DOTALL)
_CLASSES = re.compile(r"{% block (?:bodyclass|coltype) %}.*?{% endblock %}", re.DOTALL)
_TAG = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{2,}")
_SAID = re.compile(
    r"(?P<plural>\|pluralize\b)"
    r"|\|(?:default|default_if_none|yesno):(?P<filter>\"[^\"]*\"|'[^']*')"
    r"|\b(?:title|what|first|of|label|text|heading|note)=(?P<given>\"[^\"]*\"|'[^']*')"
    r"|{%\s*firstof\b[^%]*?\s(?P<first>\"[^\"]*\"|'[^']*')"
)


class _Reader(HTMLParser):
    """Notes what is left to read when all that is marked is taken away."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int, str]] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in CODE
        is_button = tag == "input" and ("type", "submit") in attrs
        for name, value in attrs:
            if name in READ_ATTRIBUTES or (is_button and name == "value"):
                self._note(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in CODE

    def handle_data(self, data: str) -> None:
        if not self._code:
            self._note(data)

    def _note(self, text: str) -> None:
        if set(_WORD.findall(text)) - NAMES:
            self.found.append((self.getpos()[0], " ".join(text.split())))


def _blank(found: re.Match[str]) -> str:
    return "\n" * found.group().count("\n")


def unmarked(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the words of what a template says in one language only."""
    shown = _MARKED.sub(lambda found: found[1] + "\n" * found[2].count("\n"), source)
    shown = _COMMENT.sub(_blank, _CLASSES.sub(_blank, shown))
    for tag in _TAG.finditer(shown):
        for said in _SAID.finditer(tag.group()):
            words = said["plural"] or said["filter"] or said["given"] or said["first"]
            if _WORD.search(words) and words[1:-1] not in VALUES:
                yield shown.count("\n", 0, tag.start()) + 1, words
    reader = _Reader()
    reader.feed(_TAG.sub(_blank, shown))
    reader.close()
    yield from reader.found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_of_a_template_is_marked_for_translation(path: Path) -> None:
    place = path.relative_to(ROOT)
    left = [f"{place}:{line}: {words}" for line, words in unmarked(path.read_text())]
    assert not left, "Mark these with translate or blocktranslate:\n" + "\n".join(left)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<p>\n  Nobody was asked.\n</p>", "Nobody was asked."),
        ('<a title="Sign out">{{ name }}</a>', "Sign out"),
        ('<input type="submit" value="Save">', "Save"),
        ('<img alt="{% if wide %}Wide{% endif %}">', "Wide"),
        ('{{ name|default:"nobody" }}', '"nobody"'),
        ("{{ n }} × {{ count|pluralize }}", "|pluralize"),
        (
            '{% blocktranslate with a=b|default:"nobody" %}{{ a }}{% endblocktranslate %}',
            '"nobody"',
        ),
        ('{% include "row.html" with title="Agents" %}', '"Agents"'),
        ('{% firstof name "somebody" %}', '"somebody"'),
        ('{% translate "Runs" %} of today', "of today"),
    ],
)
def test_a_text_that_is_not_marked_is_found(source: str, words: str) -> None:
    assert words in [found for _, found in unmarked(source)]


@pytest.mark.parametrize(
    "source",
    [
        '{% translate "Runs" %}',
        "{% blocktranslate count n=a %}{{ n }} run{% plural %}{{ n }} runs{% endblocktranslate %}",
        '<p title="{% translate "Close" %}" class="wide notice">{{ name|default:_("nobody") }}</p>',
        "<pre>agentry run</pre><code>run.payload</code><kbd>Enter</kbd> CSV",
        "{% block coltype %}wide{% endblock %}",
        '{% include "icon.html" with name="warning" %} · – {{ at|date:"j M Y" }}',
    ],
)
def test_marked_texts_and_code_are_left_alone(source: str) -> None:
    assert list(unmarked(source)) == []


def test_the_line_of_a_text_is_told() -> None:
    assert list(
        unmarked("{% if a %}\n{% blocktranslate %}a\nb{% endblocktranslate %}\n<p>Left")
    ) == [(4, "Left")]


def _words_of_calls() -> Iterator[str]:
    """Yield the words that code gives to `pill` and `told` as they stand."""
    for module in modules(*SERVER):
        for call in nodes(module, ast.Call):
            assert isinstance(call, ast.Call)
            is_looked_up = isinstance(call.func, ast.Name) and call.func.id in {"pill", "told"}
            if is_looked_up and not any(each.arg == "label" for each in call.keywords):
                for part in ast.walk(call.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value


def test_words_that_code_and_people_share_are_listed_for_catalogues() -> None:
    from django.apps import apps

    from agentry_site.apps import OURS
    from agentry_site.console.word_list import WORDS
    from agentry_site.console.words import words_of
    from agents.engine.state import Limits
    from agents.selectors.run_filters import SURFACES
    from governance.policy.contracts import Effect

    models = [model for app in OURS for model in apps.get_app_config(app).get_models()]
    bare = {*_words_of_calls(), *SURFACES, *Effect, *Limits.__struct_fields__}
    words = words_of(models) | {word.replace("_", " ") for word in bare}

    assert words - set(WORDS) == set(), "missing in agentry_site/console/word_list.py"
    assert set(WORDS) - words == set(), "too many in agentry_site/console/word_list.py"
    assert len(WORDS) == len(set(WORDS))
