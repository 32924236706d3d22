"""A state moves in `transitions` or in the journal, by a conditional update, or not at all.

`transitions` moves what nobody owns; the journal takes runs into ownership and moves what its
worker owns, each write under a fence.
"""

import ast
import re

from tests.architecture.source import SERVER, modules, nodes

MOVERS = {"transitions", "journal"}
FIELD = "state"
UPDATES = {"update", "aupdate", "update_or_create", "aupdate_or_create"}
SAVES = {"save", "asave", "bulk_update", "abulk_update"}
RAW = re.compile(r"\bUPDATE\b.*\bSET\b.*\bstate\s*=", re.DOTALL)


def _moves(tree: ast.AST) -> set[int]:
    """Return the lines where a row's state is written.

    Giving an object in memory a state is no move; it becomes one when the module also saves.
    """
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [(call, call.func.attr) for call in calls if isinstance(call.func, ast.Attribute)]
    lines = {
        call.lineno
        for call, name in named
        if name in UPDATES and any(keyword.arg == FIELD for keyword in call.keywords)
    }
    if any(name in SAVES for _, name in named):
        lines |= {
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.stmt) and _assigns_state(node)
        }
    lines |= {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and RAW.search(_text(node))
    }
    return lines


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    """Return what a string says; where a value is put in, it says nothing."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values if isinstance(part, ast.Constant))
    return node.value if isinstance(node.value, str) else ""


def _assigns_state(node: ast.stmt) -> bool:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    return any(isinstance(target, ast.Attribute) and target.attr == FIELD for target in targets)


def test_state_is_moved_by_transitions_and_the_journal_only() -> None:
    elsewhere = [
        f"{module.place}:{line}"
        for module in modules(*SERVER)
        if not MOVERS & set(module.name.split("."))
        for line in sorted(_moves(module.tree()))
    ]

    assert elsewhere == []


def test_the_rule_sees_each_way_of_moving_a_state() -> None:
    source = """
rows.update(state="x")
await rows.aupdate(state="x", fence=1)
cursor.execute("UPDATE agents_run SET fence = 1, state = %s WHERE id = %s")
run.state = "x"
run.save()
cursor.execute(f"UPDATE {table} SET state = 'x' WHERE id = {key}")
"""

    assert _moves(ast.parse(source)) == {2, 3, 4, 5, 7}


def test_the_rule_leaves_objects_in_memory_alone() -> None:
    assert _moves(ast.parse("known.state = 'x'\nrows.filter(state='x').update(fence=1)")) == set()


def test_no_signals_are_used() -> None:
    """News travels upward as events after commit; see the decision on signals.

    The one exception is a step of Django's life-cycle, joined where an app starts: what has to be
    in the database after migrations.
    """
    users = {}
    for module in modules(*SERVER):
        names = {
            alias.name
            for node in nodes(module, ast.ImportFrom)
            if isinstance(node, ast.ImportFrom)
            if node.module in {"django.db.models.signals", "django.core.signals", "django.dispatch"}
            for alias in node.names
        }
        allowed = {"post_migrate"} if module.name.endswith(".apps") else set()
        if names - allowed:
            users[module.place] = sorted(names - allowed)

    assert users == {}
