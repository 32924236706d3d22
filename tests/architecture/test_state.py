"""A state moves in `transitions` or in the journal, by a conditional update, or not at all."""

import ast

from tests.architecture.source import SERVER, Module, modules, nodes

MOVERS = {"transitions", "journal"}
STATE_FIELDS = {"state"}


def _assigns_state(node: ast.AST) -> bool:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    return any(
        isinstance(target, ast.Attribute)
        and target.attr in STATE_FIELDS
        and not (isinstance(target.value, ast.Name) and target.value.id == "self")
        for target in targets
    )


def _updates_state(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"update", "aupdate"}
        and any(keyword.arg in STATE_FIELDS for keyword in node.keywords)
    )


def _moves(module: Module) -> list[str]:
    return [
        f"{module.place}:{node.lineno}"
        for node in nodes(module, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Call)
        if _assigns_state(node) or _updates_state(node)
        if isinstance(node, ast.stmt | ast.expr)
    ]


def test_state_is_moved_by_transitions_and_the_journal_only() -> None:
    elsewhere = [
        place
        for module in modules(*SERVER)
        if not MOVERS & set(module.name.split("."))
        for place in _moves(module)
    ]

    assert elsewhere == []


def test_the_rule_sees_each_way_of_moving_a_state() -> None:
    source = "run.state = 'x'\nrun.state: str = 'x'\nrows.update(state='x')\nself.state = 'x'\n"
    statements = ast.walk(ast.parse(source))

    assert sum(_assigns_state(node) or _updates_state(node) for node in statements) == 3


def test_no_signals_are_used() -> None:
    """News travels upward as events after commit; see the decision on signals."""
    users = [
        module.place
        for module in modules(*SERVER)
        if "django.db.models.signals" in module.text or "django.dispatch" in module.text
    ]

    assert users == []
