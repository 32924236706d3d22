"""Where the in-process library would say nothing or never end, the call is denied and told why.

The modules are handed to the engine as they are, past the loader, unless the loader is what is
tested.
"""

import threading
import time

import pytest

from governance.errors import PolicyInvalidError
from governance.policy.contracts import ABNORMAL_RULE, Effect, PolicyDecision
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool
from tests.unit.governance.policy.kit import call

HEAD = "package agentry.tool\n\nimport rego.v1\n\n"
ALLOW = 'default decision := {"effect": "allow", "rule": "default"}\n\n'


def _deny_if(condition: str) -> str:
    return f'{HEAD}{ALLOW}decision := {{"effect": "deny", "rule": "no"}} if {condition}\n'


def _decide(
    pool: RegoPool, module: str, seconds: float = 10, **arguments: object
) -> PolicyDecision:
    engine = RegoEngine(module, pool=pool, deadline_seconds=seconds)
    return engine.decide(call(arguments=arguments))


def _assert_denied_abnormally(decision: PolicyDecision, *, why: str) -> None:
    assert decision.effect is Effect.DENY
    assert decision.is_abnormal
    assert decision.rule == ABNORMAL_RULE
    assert why in decision.reason


def _mistakes(pool: RegoPool, module: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyInvalidError) as raised:
        RegoEngine.load(module, pool=pool, deadline_seconds=10)
    found = raised.value.detail["mistakes"]
    assert isinstance(found, list)
    assert all(each["remedy"] for each in found)
    return [(each["line"], each["column"], each["what"]) for each in found]


def test_a_pattern_that_backtracks_is_cut_off_and_stalls_nobody(pool: RegoPool) -> None:
    slow = RegoEngine(
        _deny_if("regex.match(`^(a+)+$`, input.arguments.v)"), pool=pool, deadline_seconds=0.25
    )
    quick = RegoEngine(_deny_if("input.arguments.v == 1"), pool=pool, deadline_seconds=10)
    quick.decide(call())
    took: list[float] = []
    decisions: list[PolicyDecision] = []

    def decide() -> None:
        began = time.monotonic()
        decisions.append(slow.decide(call(arguments={"v": "a" * 40 + "!"})))
        took.append(time.monotonic() - began)

    thread = threading.Thread(target=decide)
    thread.start()
    beside = quick.decide(call(arguments={"v": 1}))
    thread.join()

    _assert_denied_abnormally(decisions[0], why="it took too long (a decision has 250 ms)")
    assert beside.rule == "no"
    assert took[0] < 10  # the evaluation itself would take days
    assert slow.decide(call(arguments={"v": "b"})).rule == "default", "its process was replaced"


@pytest.mark.parametrize(
    "condition",
    [
        'glob.match("*a*a*a*a*a*a*a*a*b", null, input.arguments.v)',
        "count(numbers.range(1, 1000000000)) == 1",
    ],
)
def test_other_things_without_end_are_cut_off(pool: RegoPool, condition: str) -> None:
    decision = _decide(pool, _deny_if(condition), 0.25, v="a" * 400)

    _assert_denied_abnormally(decision, why="it took too long")


def test_a_text_that_ends_the_process_denies(pool: RegoPool) -> None:
    module = _deny_if("regex.match(`^[ -~]*$`, input.arguments.v)")

    decision = _decide(pool, module, 30, v="a" * 900_000)

    _assert_denied_abnormally(decision, why="the evaluating process ended without an answer")
    assert _decide(pool, module, 30, v="a").rule == "no"


@pytest.mark.parametrize(
    "name",
    ["net.cidr_contains", "json.match_schema", "nothing_of_this_name", "regex.no_such_thing"],
)
def test_a_missing_function_is_refused_at_its_place(pool: RegoPool, name: str) -> None:
    assert _mistakes(pool, _deny_if(f'{name}("a", "b")')) == [
        (7, 49, f"the function `{name}` is not known or not supported")
    ]


@pytest.mark.parametrize(
    "expression",
    [
        'http.send({"url": "http://x"})',
        "time.now_ns() > 1",
        "opa.runtime().env",
        'rand.intn("a", 2)',
    ],
)
def test_what_asks_the_outside_world_is_refused(pool: RegoPool, expression: str) -> None:
    name = expression.split("(", maxsplit=1)[0]

    assert _mistakes(pool, _deny_if(expression)) == [
        (7, 49, f"`{name}` depends on more than the call that is judged")
    ]


@pytest.mark.parametrize(
    "condition",
    [
        'startswith(input.arguments.v, "a")',
        'sprintf("%d", ["x"]) == "x"',
        'regex.match(`a(`, "a")',
        'net.cidr_contains("10.0.0.0/8", "10.0.0.1")',
        'http.send({"method": "get", "url": "http://127.0.0.1:1/"})',
    ],
)
def test_a_failing_function_denies_instead_of_vanishing(pool: RegoPool, condition: str) -> None:
    decision = _decide(pool, _deny_if(condition), v=1)

    _assert_denied_abnormally(decision, why="its evaluation failed")


@pytest.mark.parametrize("directive", ["%q", "%05d", "%x"])
def test_a_format_that_would_be_written_out_as_it_stands_is_refused(
    pool: RegoPool, directive: str
) -> None:
    module = _deny_if(f'sprintf("{directive} %% %s", [1, 2]) == "x"')

    assert _mistakes(pool, module) == [
        (7, 57, f"`{directive[:2]}` is not a format that both engines know")
    ]


@pytest.mark.parametrize(
    "condition", ["nothing_of_this_name(1)", "loop_a"], ids=["unknown function", "recursion"]
)
def test_what_only_shows_in_the_evaluation_denies(pool: RegoPool, condition: str) -> None:
    module = _deny_if(condition) + "\nloop_a if loop_b\n\nloop_b if loop_a\n"

    _assert_denied_abnormally(_decide(pool, module), why="its evaluation failed")


def test_a_variable_that_nothing_defines_is_refused(pool: RegoPool) -> None:
    module = _deny_if("{\n\tlimit := 100\n\tlimti < input.arguments.v\n}")

    assert _mistakes(pool, module) == [(9, 2, "`limti` is not defined")]


@pytest.mark.parametrize(
    ("field", "column", "name"),
    [
        ("input.tol.name", 55, "tol"),
        ("input.tool.nmae", 60, "nmae"),
        ('input["subjct"]', 55, "subjct"),
        ("input.agent.version.major.tol", 0, ""),
    ],
)
def test_a_misspelt_field_of_the_input_is_refused(
    pool: RegoPool, field: str, column: int, name: str
) -> None:
    module = _deny_if(f'{field} == "x"')
    if not name:  # only what is known can be checked
        assert RegoEngine.load(module, pool=pool, deadline_seconds=10).decide(call()).rule
        return

    assert _mistakes(pool, module) == [(7, column, f"the input has no field `{name}` here")]


def test_recursion_is_refused(pool: RegoPool) -> None:
    module = _deny_if("loop_a") + "\nloop_a if loop_b\n\nloop_b if loop_a\n"

    assert _mistakes(pool, module) == [(9, 1, "`loop_a` is defined by itself")]


def test_rules_that_contradict_each_other_deny(pool: RegoPool) -> None:
    module = (
        HEAD
        + 'decision := {"effect": "allow", "rule": "a"} if input.tool.name == "shell"\n\n'
        + 'decision := {"effect": "deny", "rule": "b"} if input.subject.user == "ada"\n'
    )

    _assert_denied_abnormally(_decide(pool, module), why="its evaluation failed")


def test_the_older_syntax_is_refused(pool: RegoPool) -> None:
    module = 'package agentry.tool\ndecision = x { x := {"effect": "deny"} }\n'

    assert _mistakes(pool, module) == [
        (1, 1, "without `import rego.v1` engines read it as different languages"),
        (2, 10, "a single `=` means two different things"),
    ]


def test_texts_are_judged_whole_and_as_they_are(pool: RegoPool) -> None:
    """Handed over as values, texts would end at a NUL and lose their quotes."""
    module = _deny_if('input.arguments.v == "say \\"no\\"\\n"')

    assert _decide(pool, module, v='say "no"\n').rule == "no"
    assert _decide(pool, module, v='say "no"\n\x00').rule == "default"


@pytest.mark.parametrize(
    "value",
    [
        '"deny"',
        '{"rule": "no effect"}',
        '{"effect": "permit"}',
        '{"effect": "allow", "color": "red"}',
        '{"effect": "ask", "quorum": 0}',
        '{"effect": "ask", "quorum": 1.5}',
        '{"effect": "ask", "approvers": ["ada"]}',
        '{"effect": "ask", "expires_seconds": 0}',
        '{"effect": "ask", "on_expiry": "shrug"}',
        '{"effect": "ask", "on_expiry": "escalate"}',
        '["allow"]',
        "null",
    ],
)
def test_an_answer_that_is_no_decision_denies(pool: RegoPool, value: str) -> None:
    decision = _decide(pool, f"{HEAD}decision := {value}\n")

    _assert_denied_abnormally(decision, why="its answer is no decision")


def test_no_answer_denies(pool: RegoPool) -> None:
    module = f'{HEAD}decision := {{"effect": "allow"}} if input.tool.name == "other"\n'

    _assert_denied_abnormally(_decide(pool, module), why="its evaluation failed: it is undefined")


@pytest.mark.parametrize(
    "arguments",
    [{"v": object()}, {"v": "\ud800"}, {"v": "x" * 1_100_000}],
    ids=["no JSON", "half a character", "too large"],
)
def test_a_call_that_cannot_be_written_down_is_denied(
    pool: RegoPool, arguments: dict[str, object]
) -> None:
    engine = RegoEngine(f"{HEAD}{ALLOW}", pool=pool, deadline_seconds=10)

    decision = engine.decide(call(arguments=arguments))

    assert decision.effect is Effect.DENY
    assert decision.is_abnormal
    assert decision.version == engine.digest
