"""Files and functions stay small enough to be read in one go."""

import ast

from tests.architecture.source import LIBRARY, modules, nodes

FILE_LINES = 600
FUNCTION_LINES = 60


def test_no_file_is_longer_than_600_lines() -> None:
    long = {
        module.place: lines
        for module in modules(*LIBRARY, "tests", "scripts")
        if (lines := module.text.count("\n")) > FILE_LINES
    }

    assert long == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = {}
    for module in modules(*LIBRARY, "tests", "scripts"):
        for node in nodes(module, ast.FunctionDef, ast.AsyncFunctionDef):
            assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            first = node.body[0].lineno if node.decorator_list else node.lineno
            lines = (node.end_lineno or first) - min(first, node.lineno) + 1
            if lines > FUNCTION_LINES:
                long[f"{module.place}:{node.lineno} {node.name}"] = lines

    assert long == {}
