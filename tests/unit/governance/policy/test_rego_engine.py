"""Loading a Rego policy, judging from many threads, and the processes behind it."""

import os
import threading
from collections import Counter

import pytest

from core.errors import UnavailableError
from governance.errors import PolicyInvalidError
from governance.policy.contracts import Effect, OnExpiry, PolicyDecision
from governance.policy.rego import worker
from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoPool
from governance.policy.rego.source import inspect_module
from tests.unit.governance.policy.kit import call

HEAD = "package agentry.tool\n\nimport rego.v1\n\n"
POLICY = f"""{HEAD}default decision := {{"effect": "deny", "rule": "default", "reason": "No."}}

# people of ops are asked
decision := {{
	"effect": "ask", "rule": "ops", "approvers": ["group:ops", "user:ada"], "quorum": 2,
	"expires_seconds": 600, "on_expiry": "escalate", "escalate_to": ["role:admin"],
	"allow_self": true,
}} if {{
	is_of("ops")
	every path in input.paths {{ startswith(path, "/workspace/") }}
}} else := {{"effect": "allow", "rule": rule}} if {{
	[first, _] := split(input.tool.name, ".")
	rule := concat("-", ["tool", first])
	count([host | some host in input.hosts; not allowed[host]]) == 0
}}

allowed contains host if some host in input.tool.net

is_of(name) if name in input.subject.groups
"""


def test_a_policy_answers_with_everything_it_may_say(pool: RegoPool) -> None:
    engine = RegoEngine.load(POLICY, pool=pool, deadline_seconds=10)

    assert engine.decide(call(groups=("ops",), paths=("/workspace/a",))) == PolicyDecision(
        effect=Effect.ASK,
        rule="ops",
        approvers=("group:ops", "user:ada"),
        quorum=2,
        expires_seconds=600,
        on_expiry=OnExpiry.ESCALATE,
        escalate_to=("role:admin",),
        allow_self=True,
        version=engine.digest,
    )
    assert engine.decide(call("http.get")).rule == "tool-http"
    assert engine.decide(call("http.get", hosts=("example.com",))) == PolicyDecision(
        effect=Effect.DENY, rule="default", reason="No.", version=engine.digest
    )


@pytest.mark.parametrize(
    ("module", "what"),
    [
        ("package other\n\nimport rego.v1\n\ndecision := 1\n", "it is not this policy's package"),
        (f"{HEAD}verdict := 1\n", "it does not define `decision`"),
        (f"{HEAD}import data.x\n\ndecision := 1\n", "only `import rego.v1` is supported"),
        (f"{HEAD}decision := data.x.y\n", "`data` is not available"),
        ("", "it is not this policy's package"),
        ("# " + "x" * 1024 * 1024, "it is larger than 1048576 bytes"),
    ],
)
def test_what_is_no_policy_of_ours_is_refused(module: str, what: str) -> None:
    with pytest.raises(PolicyInvalidError) as raised:
        inspect_module(module)

    assert what in str(raised.value.detail["mistakes"])


@pytest.mark.parametrize(
    "module",
    [
        f"{HEAD}decision := {{\n",
        f'{HEAD}decision := {{"effect": "allow"}} if input.run_id == "x"\n',
    ],
    ids=["does not parse", "undefined for an ordinary call"],
)
def test_a_module_without_an_answer_is_refused(pool: RegoPool, module: str) -> None:
    with pytest.raises(PolicyInvalidError, match="no answer to an ordinary call") as raised:
        RegoEngine.load(module, pool=pool, deadline_seconds=10)

    assert "default decision" in raised.value.remedy


def test_an_answer_that_is_no_decision_is_refused(pool: RegoPool) -> None:
    with pytest.raises(PolicyInvalidError, match="is no decision"):
        RegoEngine.load(f"{HEAD}decision := true\n", pool=pool, deadline_seconds=10)


def test_names_in_comments_and_texts_are_not_read_as_code(pool: RegoPool) -> None:
    module = (
        f'{HEAD}# nothing(here)\ndecision := {{"effect": "deny", "rule": "call(me) # no",'
        ' "reason": `input.tol`} if true == true # not(hing)\n'
    )

    assert RegoEngine.load(module, pool=pool, deadline_seconds=10).decide(call()).rule


def test_many_threads_share_the_processes(pool: RegoPool) -> None:
    engine = RegoEngine.load(POLICY, pool=pool, deadline_seconds=30)
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def decide(number: int) -> None:
        for turn in range(20):
            decision = engine.decide(call(f"t{number}.{turn}"))
            with lock:
                seen[decision.rule] += 1

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {f"tool-t{number}": 20 for number in range(8)}


def test_a_policy_that_a_process_let_go_is_loaded_again() -> None:
    single = RegoPool(processes=1)
    try:
        rules = [
            f'{HEAD}decision := {{"effect": "deny", "rule": "r{number}"}}\n'
            for number in range(worker.MAX_POLICIES + 2)
        ]
        engines = [RegoEngine(module, pool=single, deadline_seconds=10) for module in rules]

        assert [each.decide(call()).rule for each in [*engines, engines[0]]] == [
            *(f"r{number}" for number in range(len(engines))), "r0",
        ]  # fmt: skip
    finally:
        single.close()


def test_nobody_waits_for_a_busy_process_for_ever() -> None:
    single = RegoPool(processes=1, queue_seconds=0.05)
    module = f"{HEAD}decision := {{}} if count(numbers.range(1, 1000000000)) == 1\n"
    slow = RegoEngine(module, pool=single, deadline_seconds=3)
    answers: list[str] = []

    def decide() -> None:
        answers.append(slow.decide(call()).reason)

    threads = [threading.Thread(target=decide) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        single.close()

    assert [("busy" in answer, "too long" in answer) for answer in answers] == [
        (True, False),
        (False, True),
    ]


def test_a_process_that_cannot_start_is_no_fault_of_the_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    broken = RegoPool(processes=1)

    with pytest.raises(UnavailableError):
        RegoEngine.load(POLICY, pool=broken)
    decision = RegoEngine(POLICY, pool=broken).decide(call())

    assert decision.effect is Effect.DENY
    assert decision.is_abnormal


def test_a_forked_process_uses_its_own(pool: RegoPool) -> None:
    engine = RegoEngine(POLICY, pool=pool, deadline_seconds=10)
    expected = engine.decide(call("a.b"))
    child = os.fork()
    if child == 0:
        same = False
        try:
            same = engine.decide(call("a.b")) == expected
            pool.close()
        finally:
            os._exit(0 if same else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert engine.decide(call("a.b")) == expected


def test_what_runs_in_the_process() -> None:
    """The same code, here, where it can be watched."""
    module = f'{HEAD}decision := {{"effect": "deny", "rule": input.v}}\n'
    load = {"do": "load", "digest": "d", "module": module}

    assert worker.serve({"do": "check", "names": ["count", "nope"]}) == {"unknown": ["nope"]}
    assert worker.serve({"do": "evaluate", "digest": "d", "document": "{}"}) == {"missing": True}
    assert worker.serve(load) == {"loaded": True}
    assert worker.serve({"do": "evaluate", "digest": "d", "document": '{"v": "x"}'}) == {
        "answer": {"effect": "deny", "rule": "x"}
    }
    assert (
        "undefined" in worker.serve({"do": "evaluate", "digest": "d", "document": "{}"})["failed"]
    )
    assert "RegoError" in worker.serve({**load, "module": "decision {"})["failed"]
