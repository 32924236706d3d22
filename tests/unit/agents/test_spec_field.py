"""The console's field for specifications: YAML from anybody who may edit an agent."""

import pytest
from django.core.exceptions import ValidationError

from agents.admin.forms import SpecField

BOMB = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (BOMB, "line 1, column 5: anchors and aliases are not allowed."),
        ("tools: " + "[" * 5_000, "line 1, column 39: deeper than 32 levels."),
        ("prompt: x\nprompt: y", "line 2, column 1: the key `prompt` stands twice"),
        ("prompt: !!python/name:os.system x", "the tag tag:yaml.org,2002:python/name:os.system"),
        ("prompt: 'open", "line 1, column 14: this is not YAML"),
        ("", "A specification is a mapping"),
        ("- prompt", "A specification is a mapping"),
    ],
)
def test_what_is_no_plain_mapping_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SpecField().clean(text)
    assert place in refused.value.messages[0]


def test_values_are_what_json_has() -> None:
    text = "prompt: |\n  Be careful.\n  Always.\nuntil: 2026-01-01\ntools: [echo]\nsafe: yes\n"
    assert SpecField().clean(text) == {
        "prompt": "Be careful.\nAlways.\n",
        "until": "2026-01-01",
        "tools": ["echo"],
        "safe": "yes",
    }
