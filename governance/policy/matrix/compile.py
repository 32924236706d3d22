"""From a permission matrix to one Rego module that answers `data.agentry.tool.decision`.

The decision is one chain: deny rules, then ask, then allow, each as they stand in the file, then
the default. The first that holds answers, and the rest is not looked at.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from governance.policy.contracts import DEFAULT_EXPIRES_SECONDS, OnExpiry, PolicyDecision
from governance.policy.matrix.globs import ANY_PARTS, has_port
from governance.policy.matrix.model import CLASSES, Condition, Each, Matrix, Rule, Test, TestKind
from governance.policy.matrix.prelude import JUDGE, literal, prelude, stood_in

_HEAD = """\
# Compiled from a permission matrix. Change the matrix, not this.
package agentry.tool

import rego.v1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A module's text; `digest` is the version that its decisions carry."""

    module: str
    digest: str


def module_digest(module: str) -> str:
    """Return the SHA-256 (hex) that names a policy."""
    return hashlib.sha256(module.encode()).hexdigest()


def compile_matrix(matrix: Matrix) -> Compiled:
    """Return the module; the same matrix gives the same text on every machine."""
    module = _Module().write(matrix)
    return Compiled(module=module, digest=module_digest(module))


def _body(lines: Sequence[str]) -> str:
    if len(lines) == 1:
        return f"if {lines[0]}"
    return "if {\n" + "".join(f"\t{line}\n" for line in lines) + "}"


@dataclass(slots=True)
class _Module:
    _used: set[str] = field(default_factory=set)
    _defined: dict[str, str] = field(default_factory=dict)  # a function's bodies → its name
    _functions: list[str] = field(default_factory=list)

    def write(self, matrix: Matrix) -> str:
        rules: list[str] = []
        chain: list[str] = []
        for number, rule in enumerate(matrix.by_force(), start=1):
            lines = self._rule(rule)
            comment = f"# {literal(rule.name)}, line {rule.line} of the matrix"
            rules.append(f"{comment}\nrule_{number} {_body(lines)}")
            chain.append(f"{_answer(rule.decision)} if rule_{number}")
        chain += _defaults(matrix)
        decision = "decision := " + "\nelse := ".join(chain)
        parts = [_HEAD.rstrip(), decision, *rules, *self._functions, *prelude(self._used)]
        return "\n\n".join(parts) + "\n"

    def _rule(self, rule: Rule) -> list[str]:
        lines: list[str] = []
        if rule.tools:
            lines.append(self._like(rule.tools, "input.tool.name"))
        if rule.classes:
            lines.append(f"input.tool.effect in {_set(rule.classes)}")
        if rule.is_privileged is not None:
            lines.append(f"input.tool.privileged == {literal(rule.is_privileged)}")
        if rule.agents:
            lines.append(self._like(rule.agents, "input.agent.name"))
        if rule.surfaces:
            lines.append(self._like(rule.surfaces, "input.subject.surface"))
        if rule.workspaces:
            lines.append(self._like(rule.workspaces, "input.workspace"))
        if rule.users or rule.groups or rule.roles:
            lines.append(self._people(rule))
        for number, condition in enumerate(rule.arguments, start=1):
            lines += self._argument(rule, condition, str(number))
        if rule.hosts is not None:
            lines += self._all_fit(rule, (rule.hosts,), "input.hosts", "host")
        if rule.paths is not None:
            lines += self._all_fit(rule, (rule.paths,), "input.paths", "path")
        return lines

    def _people(self, rule: Rule) -> str:
        bodies: list[list[str]] = []
        if rule.users:
            bodies.append([self._like(rule.users, "subject.user")])
        for globs, plural in ((rule.groups, "groups"), (rule.roles, "roles")):
            if globs:
                bodies.append([f"some one in subject.{plural}", self._like(globs, "one")])
        return f"{self._function('subject', bodies)}(input.subject)"

    def _argument(self, rule: Rule, condition: Condition, number: str) -> list[str]:
        name = f"values_{number}"
        lines = [f"{name} := [found | {self._values(condition)}]"]
        if condition.is_present is not None:
            lines.append(f"count({name}) {'>' if condition.is_present else '=='} 0")
        if condition.tests:
            lines += self._all_fit(rule, condition.tests, name, f"value_{number}")
        return lines

    def _values(self, condition: Condition) -> str:
        here, steps = "input.arguments", ""
        found: list[str] = []
        for number, step in enumerate(condition.path, start=1):
            if isinstance(step, Each):
                self._used.add("each")
                found.append(f"some inner_{number} in each({here}{steps})")
                here, steps = f"inner_{number}", ""
            else:
                steps += f"[{literal(step)}]"
        return "; ".join([*found, f"found := {here}{steps}"])

    def _all_fit(self, rule: Rule, tests: Sequence[Test], values: str, name: str) -> list[str]:
        each = [self._fit(test, opens=rule.opens) for test in tests]
        fits = (
            each[0]
            if len(each) == 1
            else self._function("value", [[f"{one}(value)" for one in each]])
        )
        if not rule.opens:
            return [f"some {name} in {values}", f"{fits}({name})"]
        return [f"count({values}) > 0", f"every {name} in {values} {{ {fits}({name}) }}"]

    def _fit(self, test: Test, *, opens: bool) -> str:
        """Return the name of a function that holds when a value fits."""
        judge = JUDGE[test.kind]
        self._used.add(judge)
        is_true = self._is_true(test)
        bodies = [[f"{judge}(value)", f"not {is_true}" if test.is_negated else is_true]]
        if not opens:
            bodies.append([f"not {judge}(value)"])
        return self._function("value", bodies)

    def _is_true(self, test: Test) -> str:
        match test.kind:
            case TestKind.EQUALS:
                return f"value in {_set(test.scalars)}"
            case TestKind.GLOB:
                return self._like(test.globs, "value")
            case TestKind.REGEX:
                assert test.pattern is not None
                self._used.add("squeezed")
                return f"regex.match({literal(test.pattern.written)}, squeezed(value))"
            case TestKind.MIN:
                return f"value >= {literal(test.bound)}"
            case TestKind.MAX:
                return f"value <= {literal(test.bound)}"
            case TestKind.HOST:
                return self._like_host(test.globs)
            case TestKind.PATH:
                self._used.add("text")
                bodies = [_path_lines(glob) for glob in test.globs]
                return f'{self._function("parts", bodies)}(split(text(value), "/"))'

    def _like_host(self, globs: Sequence[str]) -> str:
        self._used.add("host_name")
        bodies: list[list[str]] = []
        for is_with_port, subject in ((True, "value"), (False, "host_name(value)")):
            found = [glob for glob in globs if has_port(glob) is is_with_port]
            if found:
                bodies.append([self._like(found, subject)])
        return f"{self._function('value', bodies)}(value)"

    def _like(self, globs: Sequence[str], subject: str) -> str:
        """Return a call that holds when the text `subject` is like one of the globs."""
        if "*" in globs:
            return f"is_string({subject})"
        self._used.add("text")
        plain = [glob for glob in globs if "*" not in glob]
        bodies = [[f"letters in {_set(plain, of_text=True)}"]] if plain else []
        bodies += [glob_lines(glob, "letters") for glob in globs if "*" in glob]
        return f"{self._function('letters', bodies)}(text({subject}))"

    def _function(self, argument: str, bodies: Sequence[Sequence[str]]) -> str:
        """Return the name of a function that holds when one of the bodies does."""
        heads = [f"({argument}) {_body(lines)}" for lines in bodies]
        key = "\n".join(heads)
        if key not in self._defined:
            name = f"fits_{len(self._defined) + 1}"
            self._defined[key] = name
            self._functions.append("\n\n".join(f"{name}{head}" for head in heads))
        return self._defined[key]


def _set(values: Sequence[object], *, of_text: bool = False) -> str:
    written = [stood_in(str(value)) if of_text else literal(value) for value in values]
    return "{" + ", ".join(dict.fromkeys(written)) + "}"


def glob_lines(glob: str, subject: str, prefix: str = "") -> list[str]:
    """Return expressions that hold together when the text is like the glob."""
    first, *rest = glob.split("*")
    if not rest:
        return [f"{subject} == {stood_in(glob)}"]
    last = rest.pop()
    between = [part for part in rest if part]
    lines: list[str] = []
    if first:
        lines.append(f"startswith({subject}, {stood_in(first)})")
    if last:
        lines.append(f"endswith({subject}, {stood_in(last)})")
    if (first and last) or between:
        lines.append(f"count({subject}) >= {len(first) + len(last)}")
    if between:
        ends = f"(count({subject}) - {len(first) + len(last)})"
        lines.append(f"{prefix}rest_0 := substring({subject}, {len(first)}, {ends})")
    for number, part in enumerate(between, start=1):
        here, at = f"{prefix}rest_{number - 1}", f"{prefix}at_{number}"
        lines += [f"{at} := indexof({here}, {stood_in(part)})", f"{at} >= 0"]
        if number < len(between):
            lines.append(f"{prefix}rest_{number} := substring({here}, {at} + {len(part)}, -1)")
    return lines or [f"is_string({subject})"]


def _path_lines(glob: str) -> list[str]:
    """Return expressions about `parts`, the path's parts, that hold when it is like the glob."""
    groups: list[list[str]] = [[]]
    for part in glob.split("/"):
        if part == ANY_PARTS:
            groups.append([])
        else:
            groups[-1].append(part)
    least = sum(len(group) for group in groups)
    sign = "==" if len(groups) == 1 else ">="
    lines = [f"count(parts) {sign} {least}"]
    for number, part in enumerate(groups[0]):
        lines += _part_lines(part, f"parts[{number}]", f"a{number}_")
    if len(groups) == 3:
        low, high = len(groups[0]), len(groups[1]) + len(groups[2])
        lines.append(f"some start in numbers.range({low}, count(parts) - {high})")
        for number, part in enumerate(groups[1]):
            lines += _part_lines(part, f"parts[start + {number}]", f"b{number}_")
    if len(groups) > 1:
        size = len(groups[-1])
        for number, part in enumerate(groups[-1]):
            lines += _part_lines(part, f"parts[count(parts) - {size - number}]", f"c{number}_")
    return lines


def _part_lines(part: str, subject: str, prefix: str) -> list[str]:
    return [] if part == "*" else glob_lines(part, subject, prefix)


def _defaults(matrix: Matrix) -> list[str]:
    last = CLASSES[-1]
    written = [(f"{_answer(matrix.default['privileged'])} if input.tool.privileged == true")]
    written += [
        f"{_answer(matrix.default[kind])} if input.tool.effect == {literal(kind)}"
        for kind in CLASSES[:-1]
    ]
    return [*written, _answer(matrix.default[last])]


def _answer(decision: PolicyDecision) -> str:
    """Return a decision's document with only what differs from the ordinary."""
    found: dict[str, object] = {"effect": decision.effect.value, "rule": decision.rule}
    if decision.reason:
        found["reason"] = decision.reason
    if decision.approvers:
        found["approvers"] = decision.approvers
    if decision.quorum != 1:
        found["quorum"] = decision.quorum
    if decision.expires_seconds != DEFAULT_EXPIRES_SECONDS:
        found["expires_seconds"] = decision.expires_seconds
    if decision.on_expiry is not OnExpiry.DENY:
        found["on_expiry"] = decision.on_expiry.value
    if decision.escalate_to:
        found["escalate_to"] = decision.escalate_to
    if decision.allow_self:
        found["allow_self"] = True
    if not decision.allow_owner:
        found["allow_owner"] = False
    if decision.is_grantable is not None:
        found["grantable"] = decision.is_grantable
    return literal(found)
