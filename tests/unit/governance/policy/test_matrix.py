"""What a permission matrix says, rule by rule, and what it says of mistakes in it."""

import json
from typing import Any

import pytest

from governance.errors import PolicyInvalidError
from governance.policy.contracts import Effect, OnExpiry, PolicyDecision, PolicyInput
from governance.policy.matrix.compile import compile_matrix
from governance.policy.matrix.parse import parse_matrix
from governance.policy.matrix.reference import MatrixEngine
from tests.unit.governance.policy.kit import call


def _engine(text: str) -> MatrixEngine:
    return MatrixEngine(parse_matrix(text), digest="d")


def _decides(rule: dict[str, Any], question: PolicyInput) -> bool:
    found = {"rules": [{"name": "it", "effect": "allow", **rule}], "default": "deny"}
    return _engine(json.dumps(found)).decide(question).rule == "it"


def _mistakes(text: str) -> list[str]:
    with pytest.raises(PolicyInvalidError) as raised:
        parse_matrix(text)
    found = raised.value.detail["mistakes"]
    assert isinstance(found, list)
    return [f"{each['line']}:{each['column']} {each['what']}. {each['remedy']}" for each in found]


def test_deny_wins_over_ask_wins_over_allow_wherever_they_stand() -> None:
    engine = _engine("""
rules:
  - {name: all, tools: ["*"], effect: allow}
  - {name: careful, tools: ["fs.*"], effect: ask}
  - {name: also careful, tools: ["fs.write"], effect: ask, quorum: 2}
  - {name: never, tools: [fs.remove], effect: deny, reason: "Nothing is removed."}
""")

    assert [engine.decide(call(tool)).rule for tool in ("http", "fs.write", "fs.remove")] == [
        "all", "careful", "never",
    ]  # fmt: skip
    assert engine.decide(call("fs.remove")) == PolicyDecision(
        effect=Effect.DENY, rule="never", reason="Nothing is removed.", version="d"
    )


@pytest.mark.parametrize(
    ("effect", "privileged", "expected"),
    [
        ("read", False, Effect.ALLOW),
        ("idempotent", False, Effect.ALLOW),
        ("keyed", False, Effect.ALLOW),
        ("irreversible", False, Effect.DENY),
        ("a class of tomorrow", False, Effect.DENY),
        ("read", True, Effect.DENY),
    ],
)
def test_without_a_rule_what_is_privileged_or_irreversible_is_denied(
    effect: str, privileged: bool, expected: Effect
) -> None:
    decision = _engine("rules: []").decide(call(effect=effect, privileged=privileged))

    assert decision.effect is expected
    assert not decision.is_abnormal


def test_the_default_can_be_stated_for_all_or_for_some() -> None:
    all_of_them = _engine("default: ask")
    some = _engine("default: {irreversible: ask, read: deny}")

    assert all_of_them.decide(call(privileged=True)).effect is Effect.ASK
    assert some.decide(call(effect="irreversible")).effect is Effect.ASK
    assert some.decide(call(effect="read")).effect is Effect.DENY
    assert some.decide(call(effect="keyed")).effect is Effect.ALLOW


def test_a_question_carries_whom_to_ask_and_for_how_long() -> None:
    engine = _engine("""
rules:
  - name: production
    tools: [deploy]
    effect: ask
    approvers: ["group:ops", "user:ada"]
    quorum: 2
    expires: 4h
    on_expiry: escalate
    escalate_to: "role:admin"
    allow_self: true
""")

    assert engine.decide(call("deploy")) == PolicyDecision(
        effect=Effect.ASK,
        rule="production",
        approvers=("group:ops", "user:ada"),
        quorum=2,
        expires_seconds=4 * 3600,
        on_expiry=OnExpiry.ESCALATE,
        escalate_to=("role:admin",),
        allow_self=True,
        version="d",
    )


def test_users_groups_and_roles_are_one_list_and_agents_another() -> None:
    who = {"who": {"users": ["ada"], "groups": ["ops-*"], "roles": ["admin"], "agents": ["de*"]}}

    assert _decides(who, call(user="ada", agent="deployer"))
    assert _decides(who, call(user="bob", groups=("x", "ops-eu"), agent="deployer"))
    assert _decides(who, call(user="bob", roles=("admin",), agent="deployer"))
    assert not _decides(who, call(user="bob", agent="deployer"))
    assert not _decides(who, call(user="ada", agent="helper"))


@pytest.mark.parametrize(
    ("rule", "fitting", "other"),
    [
        ({"tools": ["fs.*", "http"]}, call("fs.read"), call("fsx")),
        ({"classes": ["read"]}, call(), call(effect="keyed")),
        ({"privileged": True}, call(privileged=True), call()),
        ({"surfaces": ["rest"]}, call(surface="rest"), call(surface="agent")),
        ({"workspaces": ["prod-*"]}, call(workspace="prod-eu"), call(workspace="dev")),
        ({"hosts": ["*.example.com"]}, call(hosts=("a.example.com:443",)), call()),
        (
            {"hosts": ["*.example.com"]},
            call(hosts=("a.example.com",)),
            call(hosts=("a.example.com", "evil.com")),
        ),
        ({"hosts": ["a.com:443"]}, call(hosts=("a.com:443",)), call(hosts=("a.com:80",))),
        ({"hosts": {"outside": ["a.com"]}}, call(hosts=("b.com",)), call(hosts=("a.com:1",))),
        ({"paths": ["/w/**"]}, call(paths=("/w/a/b",)), call(paths=("/w/../etc/passwd",))),
        ({"paths": ["/w/*.py"]}, call(paths=("/w/a.py",)), call(paths=("/w/a/b.py",))),
    ],
)
def test_each_part_of_a_rule_narrows_it(
    rule: dict[str, Any], fitting: PolicyInput, other: PolicyInput
) -> None:
    assert _decides(rule, fitting)
    assert not _decides(rule, other)


@pytest.mark.parametrize(
    ("test", "fitting", "other"),
    [
        ({"a": {"equals": 1}}, {"a": 1.0}, {"a": True}),
        ({"a": {"equals": ["x", None]}}, {"a": None}, {}),
        ({"a": {"glob": "git *"}}, {"a": 'git commit -m "x\ny"'}, {"a": "gitx"}),
        ({"a": {"regex": "v\\d+\\.\\d+"}}, {"a": "v1.20"}, {"a": "v1.20; rm"}),
        ({"a": {"min": 1, "max": 10}}, {"a": 10}, {"a": 10.5}),
        ({"a": {"not": {"glob": "*secret*"}}}, {"a": "plain"}, {"a": "a secret b"}),
        ({"a": {"present": True}}, {"a": None}, {"b": 1}),
        ({"a": {"present": False}}, {"b": 1}, {"a": None}),
        ({"to[*].mail": {"glob": "*@x.org"}}, {"to": [{"mail": "a@x.org"}]}, {"to": []}),
        ({"to[*]": {"glob": "*@x.org"}}, {"to": "a@x.org"}, {"to": ["a@x.org", "b@y.org"]}),
        ({"l[1]": {"equals": "b"}}, {"l": ["a", "b"]}, {"l": ["b"]}),
    ],
)
def test_arguments_are_tested_by_path(
    test: dict[str, Any], fitting: dict[str, Any], other: dict[str, Any]
) -> None:
    assert _decides({"arguments": test}, call(arguments=fitting))
    assert not _decides({"arguments": test}, call(arguments=other))


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        ({"arguments": {"amount": {"min": 1000}}}, call(arguments={"amount": "5000"})),
        ({"arguments": {"amount": {"min": 1000}}}, call(arguments={"amount": 2**60})),
        ({"arguments": {"env": {"equals": "prod"}}}, call(arguments={"env": ["prod"]})),
        ({"arguments": {"cmd": {"glob": "*rm*"}}}, call(arguments={"cmd": ["rm", "-r"]})),
        ({"arguments": {"cmd": {"regex": ".*rm.*"}}}, call(arguments={"cmd": "x" * 2049})),
        ({"arguments": {"to[*]": {"glob": "*@evil"}}}, call(arguments={"to": ["a@x", "b@evil"]})),
        ({"hosts": ["evil.com"]}, call(hosts=("good.com", "evil.com:8443"))),
        ({"hosts": ["evil.com"]}, call(hosts=("EVIL.com",))),
        ({"hosts": ["evil.com"]}, call(hosts=("evil.com.",))),
        ({"paths": ["/etc/**"]}, call(paths=("/w/../etc/passwd",))),
        ({"paths": ["/etc/**"]}, call(paths=("//etc/passwd",))),
    ],
)
def test_what_cannot_be_judged_never_opens_and_always_restricts(
    asked: dict[str, Any], question: PolicyInput
) -> None:
    assert _decides({**asked, "effect": "deny"}, question)
    assert _decides({**asked, "effect": "ask"}, question)
    assert not _decides({**asked, "effect": "allow"}, question)


def test_all_mistakes_are_told_at_once_with_place_and_remedy() -> None:
    assert _mistakes("""\
version: 2
rules:
  - tool: [x]
    effect: allow
  - tools: [x]
    effect: permit
  - tools: ["a?", 7]
    effect: allow
    quorum: 2
  - arguments:
      a..b: {equals: 1}
      c: {regex: "(a+)+"}
      d: {}
    effect: deny
    tools: [y]
    tools: [z]
""") == [
        "1:10 this version is not known. Write `version: 1`.",
        "3:5 a rule has no key `tool`. Did you mean `tools`?",
        (
            "3:5 this rule does not say which calls it is about. Add `tools:`, or use `default:` "
            "for what no rule decides."
        ),
        "6:13 `effect` cannot be `permit`. One of: allow, ask, deny.",
        (
            "7:13 an entry of `tools` cannot be used: `?` has no meaning here; `*` is the only "
            "special character. Use `equals` for a text with this character, or `regex`."
        ),
        "7:19 an entry of `tools` is no text. Put it in quotes.",
        "9:5 `quorum` has no meaning where nobody is asked. Remove it, or write `effect: ask`.",
        (
            "11:7 `a..b` is not a path to an argument. Write `name`, `name.inner`, `list[0]` or "
            "`list[*].name`."
        ),
        (
            "12:18 `regex` cannot be used: a repeated group can be read in several ways, which can "
            "take for ever. Inside it use no `*`, `+`, `?`, and choices with different first "
            "letters."
        ),
        "13:10 this test is empty. Use one of: equals, glob, regex, min, max, not, present.",
        "16:5 the key `tools` stands twice (first in line 15). Remove one of them.",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "1:1 it is empty"),
        ("- a", "1:1 the policy must be a mapping"),
        ("{}", "1:1 there are neither rules nor a default"),
        ("rules: {}", "1:8 `rules` must be a list"),
        ("rules: [{}]", "1:9 this rule is empty"),
        ("rules: [a", "2:1 this is not YAML"),
        ("rules: &a []", "1:8 anchors and aliases are not allowed"),
        ("rules: !!set []", "1:8 the tag tag:yaml.org,2002:set is not allowed"),
        ("rules: []\n---\nrules: []", "2:1 a second document begins"),
        ("default: maybe", "1:10 `default` cannot be `maybe`"),
        ("rules: [{tools: [a]}]", "1:9 this rule has no `effect`"),
        ("rules: [{tools: [], effect: deny}]", "1:10 `tools` is empty"),
        ("rules: [{who: {}, effect: deny}]", "1:10 `who` is empty"),
        ("rules: [{classes: [reed], effect: deny}]", "1:20 no effect class `reed`"),
        ("rules: [{hosts: [Evil.com], effect: deny}]", "1:18 an entry of `hosts` cannot be used"),
        ("rules: [{paths: [/a/../b], effect: deny}]", "1:18 an entry of `paths` cannot be used"),
        ("rules: [{paths: [/a**], effect: deny}]", "1:18 an entry of `paths` cannot be used"),
        ("rules: [{hosts: {inside: [a]}, effect: deny}]", "1:10 `hosts` says nothing"),
        ("rules: [{tools: [a], effect: ask, approvers: [ada]}]", "1:47 `ada` names nobody"),
        (
            "rules: [{tools: [a], effect: ask, approvers: ['user:ada'], quorum: 2}]",
            "1:68 2 people must agree and only 1 may",
        ),
        ("rules: [{tools: [a], effect: ask, expires: 4}]", "1:44 `expires` must be a duration"),
        (
            "rules: [{tools: [a], effect: ask, on_expiry: escalate}]",
            "1:35 `on_expiry: escalate` and `escalate_to` go together",
        ),
        (
            "rules: [{name: a, tools: [a], effect: deny}, {name: a, tools: [b], effect: deny}]",
            "1:46 the name `a` is taken by the rule in line 1",
        ),
        ("rules: [{arguments: {a: {min: 2, max: 1}}, effect: deny}]", "1:26 `min` is above `max`"),
        ("rules: [{arguments: {a: {equals: {b: 1}}}, effect: deny}]", "1:34 `equals` compares"),
        ("rules: [{arguments: {a: {not: {}}}, effect: deny}]", "1:26 `not` takes one test"),
        ("rules: [{arguments: {a: {min: 9e300}}, effect: deny}]", "1:31 `min` must be a number"),
        ("a: " + "[" * 40 + "]" * 40, "1:35 deeper than 32 levels"),
        ("rules: [" + "1," * 20_001 + "]", "1:40003 more than 20000 values"),
        ("a: '" + "x" * 262_144 + "'", "1:1 it is larger than 262144 bytes"),
        ("rules: [\ud800]", "1:1"),
        ("rules: [\x00]", "1:1 a character that YAML forbids"),
    ],
)
def test_each_mistake_has_its_place(text: str, mistake: str) -> None:
    assert any(found.startswith(mistake) for found in _mistakes(text)), _mistakes(text)


def test_the_same_matrix_compiles_to_the_same_text_whatever_its_layout() -> None:
    one = compile_matrix(parse_matrix("rules: [{tools: ['b', 'a*'], effect: deny}]"))
    other = compile_matrix(parse_matrix('rules: [{effect: "deny", tools: [b, "a*"]}]\n'))

    assert one == other
    assert len(one.digest) == 64


@pytest.mark.parametrize("arguments", [{"v": object()}, {"v": "\ud800"}, {"v": "x" * 1_100_000}])
def test_a_call_that_cannot_be_written_down_is_denied(arguments: dict[str, object]) -> None:
    decision = _engine("default: allow").decide(call(arguments=arguments))

    assert decision.effect is Effect.DENY
    assert decision.is_abnormal
