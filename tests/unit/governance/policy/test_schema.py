"""The schema for editors: what the reader takes, it takes; coarse mistakes it finds as well."""

import json

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from governance.errors import PolicyInvalidError
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.schema import matrix_schema
from tests.architecture.source import ROOT
from tests.unit.governance.policy.cases import MATRICES

_SCHEMA = jsonschema.Draft202012Validator(matrix_schema())


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(matrix_schema())


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=MATRICES)
def test_what_is_read_fits_the_schema(text: str) -> None:
    parse_matrix(text)

    assert [error.message for error in _SCHEMA.iter_errors(json.loads(text))] == []


def test_the_example_and_the_one_in_the_reference_fit() -> None:
    page = (ROOT / "docs" / "reference" / "policy-matrix.md").read_text(encoding="utf-8")
    shown = page.split("```yaml\n")[1].split("```")[0]
    example = ROOT / "examples" / "policies" / "engineering.policy.yaml"

    for text in (shown, example.read_text(encoding="utf-8")):
        assert len(parse_matrix(text).rules) >= 3
        _SCHEMA.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "version: 2\nrules: []",
        "rules: [{tools: [a]}]",
        "rules: [{effect: deny}]",
        "rules: [{tool: [a], effect: deny}]",
        "rules: [{tools: [], effect: deny}]",
        "rules: [{tools: [a], effect: permit}]",
        "rules: [{tools: [a], effect: deny, quorum: 2}]",
        "rules: [{tools: [a], effect: ask, approvers: [ada]}]",
        "rules: [{tools: [a], effect: ask, expires: 4}]",
        "rules: [{who: {}, effect: deny}]",
        "rules: [{arguments: {a: {}}, effect: deny}]",
        "rules: [{hosts: {inside: [a]}, effect: deny}]",
        "default: maybe",
    ],
)
def test_what_the_schema_refuses_the_reader_refuses(text: str) -> None:
    assert not _SCHEMA.is_valid(yaml.safe_load(text))
    with pytest.raises(PolicyInvalidError):
        parse_matrix(text)
