"""Reading a permission matrix: strict, with line, column and remedy for all mistakes at once."""

from collections.abc import Mapping

from governance.policy.contracts import Effect, PolicyDecision
from governance.policy.matrix.answers import ANSWER_KEYS, read_answer
from governance.policy.matrix.conditions import read_condition
from governance.policy.matrix.globs import mistake_in_glob, mistake_in_host, mistake_in_path
from governance.policy.matrix.model import CLASSES, Matrix, Rule, Test, TestKind
from governance.policy.matrix.reading import Reader
from governance.policy.placed import Mistakes, Placed, read

MAX_RULES = 500
DEFAULT_KEYS = ("privileged", *CLASSES)
TOP_KEYS = ("version", "default", "rules")
WHO_KEYS = ("users", "groups", "roles", "agents")
CALL_KEYS = (
    "who", "tools", "classes", "privileged", "sandboxes", "net", "surfaces", "workspaces",
    "arguments", "hosts", "paths",
)  # fmt: skip
RULE_KEYS = ("name", *CALL_KEYS, "effect", *ANSWER_KEYS)

_BUILTIN_DEFAULT = {
    "privileged": Effect.DENY,
    "read": Effect.ALLOW,
    "idempotent": Effect.ALLOW,
    "keyed": Effect.ALLOW,
    "irreversible": Effect.DENY,
}


def parse_matrix(text: str) -> Matrix:
    """Return the matrix.

    Raises:
        PolicyInvalidError: `fields` and `detail["mistakes"]` name every place.
    """
    mistakes = Mistakes()
    found = matrix_in(read(text, mistakes), mistakes)
    mistakes.raise_any("Policy")
    return found


def matrix_in(root: Placed, mistakes: Mistakes) -> Matrix:
    """Return the matrix that stands in a document; what is wrong is added to `mistakes`."""
    reader = Reader(mistakes)
    keys = mistakes.mapping(root, "the policy", TOP_KEYS)
    if "version" in keys and (keys["version"].value != 1 or keys["version"].value is True):
        mistakes.add(keys["version"], "this version is not known", "Write `version: 1`.")
    if "rules" not in keys and "default" not in keys and not mistakes.found:
        mistakes.add(root, "there are neither rules nor a default", "Write `rules:` with a list.")
    entries = reader.items(keys["rules"], "`rules`") if "rules" in keys else []
    if len(entries) > MAX_RULES:
        mistakes.add(entries[MAX_RULES], f"more than {MAX_RULES} rules", "Split the policy.")
        entries = entries[:MAX_RULES]
    rules: list[Rule] = []
    for number, entry in enumerate(entries, start=1):
        rule = _rule(reader, entry, number)
        if rule is None:
            continue
        if first := next((each for each in rules if each.name == rule.name), None):
            what = f"the name `{rule.name}` is taken by the rule in line {first.line}"
            mistakes.add(entry, what, "Choose another name.")
        rules.append(rule)
    default = _default(reader, keys.get("default"))
    return Matrix(rules=tuple(rules), default=default)


def _default(reader: Reader, place: Placed | None) -> Mapping[str, PolicyDecision]:
    effects: dict[str, Effect] = dict(_BUILTIN_DEFAULT)
    if place is not None and isinstance(place.value, dict):
        for key, held in reader.mistakes.mapping(place, "`default`", DEFAULT_KEYS).items():
            effects[key] = reader.word(held, f"`{key}`", Effect) or Effect.DENY
    elif place is not None:
        effect = reader.word(place, "`default`", Effect) or Effect.DENY
        effects = dict.fromkeys(DEFAULT_KEYS, effect)
    return {
        key: PolicyDecision(
            effect=effect,
            rule=f"default-{key}",
            reason=f"No rule of the policy decides this call. {_OF_DEFAULT[effect]}".format(
                kind="privileged tools" if key == "privileged" else f"calls of the class {key}"
            ),
        )
        for key, effect in effects.items()
    }


_OF_DEFAULT = {
    Effect.ALLOW: "Then {kind} are allowed.",
    Effect.ASK: "Then a person is asked about {kind}.",
    Effect.DENY: "Then {kind} are denied.",
}


def _rule(reader: Reader, place: Placed, number: int) -> Rule | None:
    mistakes = reader.mistakes
    keys = mistakes.mapping(place, "a rule", RULE_KEYS)
    if not keys:
        if isinstance(place.value, dict) and not place.value:
            mistakes.add(place, "this rule is empty", "Write `tools:` and `effect:`.")
        return None
    name = reader.text(keys["name"], "`name`", longest=100) if "name" in keys else ""
    effect = None
    if "effect" in keys:
        effect = reader.word(keys["effect"], "`effect`", Effect)
    else:
        mistakes.add(place, "this rule has no `effect`", "Write allow, ask or deny.")
    if not any(key in keys for key in CALL_KEYS):
        what = "this rule does not say which calls it is about"
        mistakes.add(place, what, "Add `tools:`, or use `default:` for what no rule decides.")
    decision = read_answer(reader, keys, effect or Effect.DENY, name or f"rule-{number}")
    who = mistakes.mapping(keys["who"], "`who`", WHO_KEYS) if "who" in keys else {}
    if "who" in keys and not who:
        mistakes.add_at_key(keys["who"], "`who` is empty", "Name users, groups, roles or agents.")
    held = keys.get("arguments")
    if held is not None and not isinstance(held.value, dict):
        mistakes.add(held, "`arguments` must be a mapping", "Write `path: {equals: value}` lines.")
        held = None
    privileged = reader.flag(keys["privileged"], "`privileged`") if "privileged" in keys else None
    return Rule(
        name=name or f"rule-{number}",
        line=place.line,
        decision=decision,
        tools=_globs(reader, keys, "tools"),
        classes=_classes(reader, keys),
        is_privileged=privileged,
        users=_globs(reader, who, "users"),
        groups=_globs(reader, who, "groups"),
        roles=_globs(reader, who, "roles"),
        agents=_globs(reader, who, "agents"),
        surfaces=_globs(reader, keys, "surfaces"),
        workspaces=_globs(reader, keys, "workspaces"),
        sandboxes=_globs(reader, keys, "sandboxes"),
        arguments=tuple(
            read_condition(reader, path, inner)
            for path, inner in (held.value if held is not None else {}).items()
        ),
        net=_places(reader, keys, "net"),
        hosts=_places(reader, keys, "hosts"),
        paths=_places(reader, keys, "paths"),
    )


def _classes(reader: Reader, keys: Mapping[str, Placed]) -> tuple[str, ...]:
    if "classes" not in keys:
        return ()
    found = reader.texts(keys["classes"], "`classes`")
    for each in found:
        if each.value not in CLASSES:
            known = ", ".join(CLASSES)
            reader.mistakes.add(each, f"no effect class `{each.value[:60]}`", f"One of: {known}.")
    return tuple(each.value for each in found)


def _globs(reader: Reader, keys: Mapping[str, Placed], key: str) -> tuple[str, ...]:
    if key not in keys:
        return ()
    return reader.globs(keys[key], f"`{key}`", mistake_in_glob)


def _places(reader: Reader, keys: Mapping[str, Placed], key: str) -> Test | None:
    """Read `net`, `hosts` or `paths`: a list, or what lies `outside` of a list."""
    if key not in keys:
        return None
    place = keys[key]
    is_outside = isinstance(place.value, dict)
    if is_outside:
        inner = reader.mistakes.mapping(place, f"`{key}`", ("outside",))
        if "outside" not in inner:
            remedy = f"Write a list, or `{key}: {{outside: […]}}`."
            reader.mistakes.add_at_key(place, f"`{key}` says nothing", remedy)
            return None
        place = inner["outside"]
    check = mistake_in_path if key == "paths" else mistake_in_host
    return Test(
        kind=TestKind.PATH if key == "paths" else TestKind.HOST,
        is_negated=is_outside,
        globs=reader.globs(place, f"`{key}`", check),
    )
