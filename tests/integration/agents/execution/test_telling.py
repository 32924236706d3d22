"""What the engine tells of its work: figures, spans, and names in the lines it logs."""

import json
from collections.abc import Iterator

import pytest
import structlog

from agents.contracts import RunState
from agents.models import Run
from agents.services.runs import run_cancel
from core import pausepoints, tracing
from core.metrics.exposition import exposition
from core.metrics.instruments import RECORDER
from core.redaction import known_secrets
from core.tracing import Span
from core.tracing.durable import run_place
from governance.models import Workspace
from tests.factories.agents import make_agent
from tests.integration.agents.execution.kit import Engine, begin, boss, script_agent
from tests.processes import a_new_process
from tests.unit.core.test_tracing import HEADER, SPAN, TRACE, Kept
from tests.waiting import wait_for

SECRET = "hunter2-hunter2-hunter2"
SCRIPT = f"""
steps:
  - text: I shall echo.
    tool_calls:
      - {{name: echo, arguments: {{text: "say {SECRET}"}}}}
      - {{name: nothing-of-that-name, arguments: {{}}}}
    usage: {{input_tokens: 100, output_tokens: 20}}
  - text: "done with {SECRET}"
    usage: {{input_tokens: 30, output_tokens: 4}}
"""


@pytest.fixture
def sink() -> Iterator[Kept]:
    kept = Kept()
    before = tracing.sink_set(kept)
    yield kept
    tracing.sink_set(before)


@pytest.fixture(autouse=True)
def _figures() -> Iterator[None]:
    RECORDER.clear()
    yield
    RECORDER.clear()


def figures(prefix: str) -> list[str]:
    text = exposition([RECORDER.totals()]).decode()
    return [line for line in text.splitlines() if line.startswith(prefix)]


def one(spans: list[Span], name: str) -> Span:
    [found] = [span for span in spans if span.name == name]
    return found


def test_a_run_is_counted_by_agent_model_and_tool(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, SCRIPT, tools=["echo"])
    engine.play(begin(workspace))
    engine.stop()  # what is durable is told a moment later

    assert figures("agentry_runs_claimed_total ") == ["agentry_runs_claimed_total 1.0"]
    assert figures("agentry_runs_finished_total{") == [
        'agentry_runs_finished_total{agent="helper",state="succeeded"} 1.0'
    ]
    assert figures("agentry_tokens_total{") == [
        'agentry_tokens_total{agent="helper",kind="input",model="v-helper"} 130.0',
        'agentry_tokens_total{agent="helper",kind="output",model="v-helper"} 24.0',
    ]
    assert figures("agentry_model_calls_total{") == [
        'agentry_model_calls_total{model="v-helper",outcome="answered"} 2.0'
    ]
    assert figures("agentry_tool_calls_total{") == [
        'agentry_tool_calls_total{outcome="committed",tool="echo"} 1.0'
    ]
    for name in ("model_latency_seconds", "tool_latency_seconds", "run_duration_seconds"):
        assert len(figures(f"agentry_{name}_count{{")) == 1
    assert figures("agentry_run_queue_seconds_count ") == ["agentry_run_queue_seconds_count 1.0"]
    [entries] = figures("agentry_journal_entries_total ")
    [commits] = figures("agentry_journal_commit_seconds_count ")
    assert float(entries.split()[1]) >= float(commits.split()[1]) >= 3
    [name] = figures("agentry_engine_capacity{")
    assert name.endswith(" 50.0")


def test_a_failed_run_is_counted_by_its_cause(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, "steps: [{error: {kind: auth, message: No key.}}]")
    engine.start()
    run = engine.until(begin(workspace), RunState.FAILED)
    engine.stop()

    assert figures("agentry_run_errors_total{") == [
        f'agentry_run_errors_total{{code="{run.error_code}"}} 1.0'
    ]
    assert 'outcome="failed"} 1.0' in figures("agentry_model_calls_total{")[0]


def test_spans_of_a_run_hang_together_and_say_nothing_of_what_it_is_about(
    engine: Engine, workspace: Workspace, sink: Kept
) -> None:
    script_agent(workspace, SCRIPT, tools=["echo"])
    with tracing.within(tracing.place_of(HEADER)):
        run = begin(workspace, text="something private")
    engine.play(run)
    wait_for(lambda: len(sink.spans) == 6, lambda: [span.name for span in sink.spans])

    assert run.trace_parent == HEADER
    whole = one(sink.spans, "invoke_agent helper")
    assert whole.place.trace_hex == TRACE
    assert whole.parent is not None
    assert whole.parent.span_hex == SPAN
    assert {span.parent for span in sink.spans if span is not whole} == {whole.place}
    echo = one(sink.spans, "execute_tool echo")
    assert echo.attributes["agentry.tool.state"] == "committed"
    refused = one(sink.spans, "execute_tool nothing-of-that-name")
    assert refused.error == "failed"
    first, last = [span for span in sink.spans if span.name == "chat v-helper"]
    assert first.attributes["gen_ai.usage.input_tokens"] == 100
    assert last.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert whole.attributes["gen_ai.usage.input_tokens"] == 130
    assert whole.began_ns <= first.began_ns <= first.ended_ns <= whole.ended_ns
    text = repr(sink.spans)
    for words in ("something private", "I shall echo", SECRET, "done with", "say "):
        assert words not in text


def test_payloads_are_told_where_the_site_opted_in_and_redacted_then(
    engine: Engine, workspace: Workspace, sink: Kept
) -> None:
    sink.shows_payloads = True
    script_agent(workspace, SCRIPT, tools=["echo"])
    with a_new_process():
        known_secrets.remember(SECRET)
        engine.play(begin(workspace, text="something private"))
        engine.stop()
    chats = [span for span in sink.spans if span.name == "chat v-helper"]
    echo = one(sink.spans, "execute_tool echo")

    asked = json.loads(str(chats[0].attributes["gen_ai.input.messages"]))
    assert asked[0]["role"] == "user"
    assert "something private" in json.dumps(asked)
    assert "I shall echo" in str(chats[0].attributes["gen_ai.output.messages"])
    assert "say" in str(echo.attributes["gen_ai.tool.call.arguments"])
    assert echo.attributes["gen_ai.tool.call.result"]
    assert SECRET not in repr(sink.spans)


def test_a_run_that_is_cancelled_while_it_waits_is_told_with_its_calls(
    engine: Engine, workspace: Workspace, sink: Kept
) -> None:
    script = "steps: [{tool_calls: [{name: wait, arguments: {seconds: 900}}]}]"
    script_agent(workspace, script, tools=["wait"])
    engine.start()
    run = engine.until(begin(workspace), RunState.WAITING)
    run_cancel(actor=boss(), run_id=run.pk)

    whole, waited = one(sink.spans, "invoke_agent helper"), one(sink.spans, "execute_tool wait")
    assert whole.attributes["agentry.run.state"] == "cancelled"
    assert waited.parent == whole.place
    assert waited.error == "cancelled"
    assert whole.place == run_place(
        run_id=run.pk, root_id=run.pk, parent_call_id=None, trace_parent=""
    )
    assert whole.place.trace_hex == run.pk.hex
    assert 'agentry_runs_finished_total{agent="helper",state="cancelled"} 1.0' in figures(
        "agentry_runs_finished_total{"
    )


def test_a_child_hangs_under_the_call_that_asked_for_it(
    engine: Engine, workspace: Workspace, sink: Kept
) -> None:
    script_agent(workspace, 'steps: [{text: "Helped."}]', "worker")
    script = (
        "steps: [{tool_calls: [{name: agent, arguments: {agent: worker, input: x}}]}, {text: y}]"
    )
    script_agent(workspace, script, "lead", delegates=["worker"])
    with tracing.within(tracing.place_of(HEADER)):
        run = begin(workspace, agent="lead")
    engine.play(run)
    engine.stop()

    child = Run.objects.get(parent=run)
    call = one(sink.spans, "execute_tool agent")
    assert one(sink.spans, "invoke_agent worker").parent == call.place
    assert child.trace_parent == call.place.header()
    assert {span.place.trace_hex for span in sink.spans} == {TRACE}


def test_lines_about_a_run_name_its_trace(engine: Engine, workspace: Workspace) -> None:
    make_agent(workspace, "helper")
    seen: list[dict[str, object]] = []

    def look() -> None:
        seen.append(dict(structlog.contextvars.get_contextvars()))

    with pausepoints.at("step.before_model", look):
        run = engine.play(begin(workspace))
        host = engine.start()

    assert seen[0]["run_id"] == str(run.pk)
    assert seen[0]["workspace_id"] == str(workspace.pk)
    assert seen[0]["trace_id"] == run.root_id.hex
    assert str(run.pk).replace("-", "").endswith(str(seen[0]["span_id"]))
    assert seen[0]["worker"] == host.name
