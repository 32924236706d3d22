"""A run's `error_code` is an error class's code or one of the runs' own table, and all are told."""

import ast

import pytest

from agentry_site.problems import problems
from agents.contracts import RUN_ERRORS, RunErrorCode
from tests.architecture.source import modules, nodes

# The journal's list of columns says how the code is stored, not what it says.
COLUMNS = {"agents/journal/sql.py"}
# What becomes a run's `error_code`: calls by name, with the place of the code among the arguments.
_CARRIERS = {"Verdict": ("code", None), "ModelFailed": ("code", 0), "YieldRun": ("limit", 0)}


def _literals(tree: ast.AST) -> set[str]:
    """Return the words that are written out where a run's code is set, compared or looked up."""
    found: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "error_code":
            found.append(node.value)
        elif isinstance(node, ast.Dict):
            found += [
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "error_code"
            ]
        elif isinstance(node, ast.Compare) and any(map(_is_code, [node.left, *node.comparators])):
            found += [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            keyword, place = _CARRIERS.get(node.func.id, ("", None))
            found += [given.value for given in node.keywords if given.arg == keyword]
            if place is not None:
                found += node.args[place : place + 1]
    return {word for value in found if value is not None for word in _words(value)}


def _is_code(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "error_code"


def _words(value: ast.expr) -> set[str]:
    """Return the strings the expression may be; what it is computed from is none of them."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return {value.value}
    if isinstance(value, ast.IfExp):
        return _words(value.body) | _words(value.orelse)
    if isinstance(value, ast.BoolOp):
        return set().union(*map(_words, value.values))
    if isinstance(value, ast.Tuple | ast.Set | ast.List):
        return set().union(*map(_words, value.elts))
    return set()


def test_no_run_carries_a_code_that_is_not_in_the_table() -> None:
    known = {code.value for code in RunErrorCode} | {""}
    free = {
        module.place: sorted(words)
        for module in modules("agents")
        if module.place not in COLUMNS
        if (words := _literals(module.tree()) - known)
    }

    assert free == {}


def test_the_rule_sees_each_way_of_writing_a_code() -> None:
    source = """
release(error_code="a")
fields = {"error_code": "b" if broken else "c"}
run.error_code == "d" or run.error_code in {"e", "f"}
Verdict(state=S.FAILED, code="g"), ModelFailed("h"), YieldRun("i", "why"), YieldRun(limit="j")
"""

    assert _literals(ast.parse(source)) == set("abcdefghij")


def test_the_rule_leaves_other_words_alone() -> None:
    source = 'Verdict(state="x", code=error.code, reason="y"); Reason(code="z"); run.state == "w"'

    assert _literals(ast.parse(source)) == set()


@pytest.mark.parametrize("code", list(RunErrorCode))
def test_every_code_of_runs_is_told_and_used(code: RunErrorCode) -> None:
    told = {problem.code: problem for problem in problems()}[code.value]
    written = {f"RunErrorCode.{code.name}", repr(code.value)}
    used = any(
        ast.unparse(node) in written
        for module in modules("agents")
        if module.name != "agents.contracts"
        for node in nodes(module, ast.Attribute, ast.Constant)
    )

    assert used, f"{code.value} is in the table and no run gets it"
    assert told.run_state == RUN_ERRORS[code].state.value
    assert told.status is None
