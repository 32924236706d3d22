"""State tables: which states there are and which moves between them are legal.

A table is data. The only code that moves a row is a `transitions` module, which asks the table
first and then updates conditionally on the state it saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTable(Generic[S]):
    """Legal moves of one kind of row.

    `edges` maps a state to what may follow it. A state with no followers is terminal. Building a
    table checks it: every member is listed and every target exists and is reachable.
    """

    name: str
    states: type[S]
    initial: S
    edges: Mapping[S, frozenset[S]]
    terminal: frozenset[S] = field(init=False)

    def __post_init__(self) -> None:
        missing = set(self.states) - set(self.edges)
        if missing:
            raise ValueError(f"{self.name}: no row for {sorted(missing)}")
        reached = {self.initial}
        frontier = [self.initial]
        while frontier:
            for target in self.edges[frontier.pop()] - reached:
                reached.add(target)
                frontier.append(target)
        if unreachable := set(self.states) - reached:
            raise ValueError(f"{self.name}: unreachable {sorted(unreachable)}")
        terminal = frozenset(state for state, targets in self.edges.items() if not targets)
        object.__setattr__(self, "terminal", terminal)

    @property
    def active(self) -> frozenset[S]:
        """States that something may still follow."""
        return frozenset(set(self.states) - self.terminal)

    def allows(self, source: S, target: S) -> bool:
        return target in self.edges[source]

    def sources(self, target: S) -> frozenset[S]:
        """States from which `target` may be entered directly."""
        return frozenset(source for source, targets in self.edges.items() if target in targets)

    def mermaid(self) -> str:
        """Draw the table as a Mermaid state diagram for the documentation."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        for source, targets in self.edges.items():
            lines += [f"    {source} --> {target}" for target in sorted(targets)]
            if not targets:
                lines.append(f"    {source} --> [*]")
        return "\n".join(lines)
