"""Scripts that are wrong name the line, the column and the remedy, and never hang or crash."""

import contextlib
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.errors import ScriptError
from agents.providers import script_reader
from agents.providers.script_language import compile_script
from agents.providers.script_reader import read_script


@pytest.mark.parametrize(
    ("script", "line", "column", "what"),
    [
        ("steps:\n  - txt: a", 2, 5, "a step has no key `txt`. Did you mean `text`?"),
        ("steps:\n  - text: a\n    text: b", 3, 5, "`text` stands twice (first near line 2)"),
        ("steps:\n  - when: {contans: a}\n    text: x", 2, 12, "Did you mean `contains`?"),
        ("steps:\n  - {text: a, finish: done}", 2, 15, "no finish `done`. One of: stop,"),
        ("steps: [{error: {kind: foo}}]", 1, 18, "no error kind `foo`. One of: rate_limit"),
        ("steps: [{error: {times: 1}}]", 1, 10, "`error` has no `kind`"),
        ("steps: [{text: 5}]", 1, 10, "`text` must be a text. Put it in quotes."),
        ("steps: [{text: no, delay_ms: -1}]", 1, 20, "must be from 0 to 3.6e+06"),
        ("steps: [{text: a, delay_ms: soon}]", 1, 19, "`delay_ms` must be a number"),
        ("steps: [{text: a, chunk_chars: 1.5}]", 1, 19, "must be a whole number"),
        ("steps: [{text: a, repeat: 0}]", 1, 19, "`repeat` must be at least 1"),
        ("steps: [{text: a, repeat: 2, when: {step: 1}}]", 1, 19, "no meaning beside `when`"),
        ("steps: [{text: a, when: {}}]", 1, 19, "`when` is empty"),
        ("steps: [{text: a, when: {contains: []}}]", 1, 26, "`contains` is empty"),
        ("steps: [{text: a, usage: {tokens: 1}}]", 1, 27, "`usage` has no key `tokens`"),
        ("steps: [{finish: stop}]", 1, 9, "this step says nothing"),
        ("steps: [{error: {kind: auth, times: 1}}]", 1, 9, "then has no answer"),
        ("steps: [{tool_calls: [{arguments: {}}]}]", 1, 23, "this tool call has no `name`"),
        ("steps: [{tool_calls: [{name: a, arguments: 1}]}]", 1, 33, "must be a mapping"),
        (
            "steps: [{tool_calls: [{name: a, arguments: {}, raw_arguments: x}]}]",
            *(1, 23, "`arguments` or `raw_arguments`"),
        ),
        ("steps:\n  - text: '${nope}'", 2, 5, "`${nope}` names nothing"),
        ("steps: []", 1, 1, "`steps` is empty"),
        ("steps: {}", 1, 1, "`steps` must be a list"),
        ("branches: []", 1, 1, "`branches` is empty"),
        ("branches: [{when: {step: 1}}]", 1, 12, "this branch has no `steps`"),
        ("{}", 1, 1, "either `steps` or `branches`"),
        ("steps: [{text: a}]\nbranches: []", 1, 1, "either `steps` or `branches`"),
        ("- a", 1, 1, "the script must be a mapping"),
        ("# only a comment", 1, 1, "it is empty"),
        ("steps: [{text: a}]\n---\nb: c", 2, 1, "a second document begins"),
        ("steps:\n\t- a", 2, 1, "this is not YAML"),
        ("steps: [", 2, 1, "this is not YAML"),
        ("a: &x 1\nb: *x", 1, 4, "anchors and aliases are not allowed"),
        ("a: 1\nb: *x", 2, 4, "anchors and aliases are not allowed"),
        ("!!python/object:os.system {}", 1, 1, "is not allowed. Remove the tag."),
        ("{? [a] : b}", 1, 4, "a key must be plain text"),
        ("a: \x07", 1, 1, "a character that YAML forbids"),
        ("a: \ud800", 1, 1, "half a character"),
        ("[" * 200_000, 1, 33, "deeper than 32 levels"),
        ("a: [" + "1," * 30_000 + "]", 1, 39_999, "more than 20000 values"),
        ("#" * 300_000, 1, 1, "it is larger than 262144 bytes"),
    ],
)
def test_a_wrong_script_says_where_and_what(script: str, line: int, column: int, what: str) -> None:
    with pytest.raises(ScriptError) as caught:
        compile_script(script)
    error = caught.value
    assert what in str(error)
    assert error.message.startswith(f"Script, line {line}, column {column}: ")
    assert error.detail == {"line": line, "column": column}
    assert error.remedy


def test_plain_values_are_read_as_yaml_1_2() -> None:
    text = "{a: no, b: 1:30, c: 012, d: true, e: ~, f: 1.5, g: '1', h: -3, i: 1e3, j: 0x1F, k: }"
    assert read_script(text).plain() == {
        "a": "no",
        "b": "1:30",
        "c": 12,
        "d": True,
        "e": None,
        "f": 1.5,
        "g": "1",
        "h": -3,
        "i": 1000.0,
        "j": "0x1F",
        "k": None,
    }


def test_json_is_a_script_too() -> None:
    script = compile_script('{"steps": [{"text": "hi"}]}')
    assert script.branches[0].ordered[0].text is not None


def test_a_script_is_compiled_once() -> None:
    script = "steps: [{text: compiled once}]"
    assert compile_script(script) is compile_script(script)


def test_the_slow_parser_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_reader, "_LOADER", yaml.SafeLoader)
    with pytest.raises(ScriptError, match="line 3, column 5"):
        read_script("steps:\n  - text: a\n    text: b").mapping("x", ["steps"])
    assert read_script("{a: 1, b: '1'}").plain() == {"a": 1, "b": "1"}


WORDS = st.sampled_from(
    [
        *("steps", "branches", "when", "text", "error", "kind", "times", "repeat", "usage", "name"),
        *("tool_calls", "arguments", "contains", "step", "finish", "stop", "rate_limit", "forever"),
        *(": ", "- ", "\n", "\n  ", "[", "]", "{", "}", ",", "'", '"', "${", "}", "$$", "&a", "*a"),
        *("1", "-1", "1e9", "~", "true", "|", ">", "#", "!!str", "?", "\t", "\\u00e9", "é", "---"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map("".join)))
def test_any_text_is_a_script_or_a_script_error(text: str) -> None:
    with contextlib.suppress(ScriptError):
        compile_script(text)


@settings(max_examples=300, deadline=None)
@given(
    script=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_json_is_a_script_or_a_script_error(script: object) -> None:
    for text in (json.dumps(script), json.dumps({"steps": [script]}, ensure_ascii=False)):
        with contextlib.suppress(ScriptError):
            compile_script(text)
