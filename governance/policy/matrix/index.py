"""Large matrices: which rule decides is found by the tool's name, so that a call pays for the rules
about its own tool and for those about many, and not for all there are.

Rules that name their tools are looked up in a tree of comparisons, the others stand in one chain;
of the two that hold first, the one that wins decides. All of it is as long as the matrix is.
Tables would be shorter to read, but the in-process engine builds a table anew for every call.
"""

import re
from collections.abc import Sequence

from governance.policy.matrix.model import Rule
from governance.policy.matrix.prelude import literal

LEAF = 8
TOOL = "tool_name"
_PLAIN = re.compile(r"[A-Za-z0-9_./:-]+")  # engines agree on the order of such names


def is_named(rule: Rule) -> bool:
    """Whether a rule is about tools it names, and no others."""
    return bool(rule.tools) and all(_PLAIN.fullmatch(tool) for tool in rule.tools)


def indexed(
    rules: Sequence[Rule], answers: Sequence[str], conditions: Sequence[str], default: str
) -> list[str]:
    """Return definitions that make `decision` the answer of the first rule that holds.

    `conditions` say when a rule holds, for a named one beside its tools (empty: always); `default`
    is what `decision` is where none does.
    """
    none = len(rules) + 1
    by_name: dict[str, list[int]] = {}
    others: list[int] = []
    for number, rule in enumerate(rules, start=1):
        if is_named(rule):
            for tool in dict.fromkeys(rule.tools):
                by_name.setdefault(tool, []).append(number)
        else:
            others.append(number)

    def held(numbers: Sequence[int]) -> list[str]:
        return [
            f"{number} if {conditions[number - 1]}" if conditions[number - 1] else str(number)
            for number in numbers
        ]

    parts = [f"{TOOL} := text(input.tool.name)"]
    leaves: list[tuple[str, str]] = []
    for place, name in enumerate(sorted(by_name), start=1):
        parts.append(_chain(f"about_{place}", held(by_name[name])))
        leaves.append((literal(name), f"about_{place} if {TOOL} == {literal(name)}"))
    parts.append(f"default named := {none}")
    if leaves:
        parts += ["named := by_name", *_tree("by_name", TOOL, leaves)]
    parts.append(f"default other := {none}")
    if others:
        parts.append(_chain("other", held(others)))
    parts.append(_chain("first", ["named if named < other", "other"]))
    numbered = [
        (str(number), f"{answer} if first == {number}")
        for number, answer in enumerate([*answers, "otherwise"], start=1)
    ]
    return [*_tree("decision", "first", numbered), default, *parts]


def _chain(name: str, expressions: Sequence[str]) -> str:
    """Return a definition by the first expression that holds; what follows an `always` is cut."""
    kept = []
    for expression in expressions:
        kept.append(expression)
        if " if " not in expression:
            break
    return f"{name} := " + "\nelse := ".join(kept)


def _tree(name: str, subject: str, leaves: Sequence[tuple[str, str]]) -> list[str]:
    """Return definitions of `name` by the one leaf that holds; leaves are sorted by their bound."""
    if len(leaves) <= LEAF:
        return [_chain(name, [expression for _, expression in leaves])]
    middle = len(leaves) // 2
    bound = leaves[middle][0]
    low, high = f"{name}_0", f"{name}_1"
    choice = [f"{low} if {subject} < {bound}", f"{high} if {subject} >= {bound}"]
    return [
        _chain(name, choice),
        *_tree(low, subject, leaves[:middle]),
        *_tree(high, subject, leaves[middle:]),
    ]
