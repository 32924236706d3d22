import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    url_attributes,
)
from opentelemetry.semconv.schemas import Schemas

from core import tracing
from core.env import ConfigurationError, Environment
from core.ids import new_id
from core.tracing import Place, Span, conventions
from core.tracing.durable import call_place, child_header, run_parent, run_place, trace_id
from core.tracing.setup import TraceSettings

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"


class Kept:
    """A sink that keeps what it is told."""

    def __init__(self, *, share: float = 1.0, shows_payloads: bool = False) -> None:
        self.share, self.shows_payloads = share, shows_payloads
        self.spans: list[Span] = []
        self.is_stopped = False

    def tell(self, span: Span) -> None:
        self.spans.append(span)

    def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def sink() -> Iterator[Kept]:
    kept = Kept()
    before = tracing.sink_set(kept)
    yield kept
    tracing.sink_set(before)


@pytest.mark.parametrize(
    "header",
    [
        "", "00", TRACE, f"00-{TRACE}-{SPAN}", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}x-{SPAN}-01",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_begins_a_trace_of_its_own(header: str) -> None:
    assert tracing.place_of(header) is None


def test_a_traceparent_is_read_and_written() -> None:
    place = tracing.place_of(f" {HEADER} ")
    unsampled = tracing.place_of(f"00-{TRACE}-{SPAN}-00")
    later = tracing.place_of(f"01-{TRACE}-{SPAN}-03-what-we-do-not-know")

    assert place == Place(int(TRACE, 16), int(SPAN, 16), True)
    assert place is not None
    assert place.header() == HEADER
    assert unsampled is not None
    assert not unsampled.is_sampled
    assert later == place


def test_every_worker_knows_the_spans_of_a_run_its_calls_and_its_children() -> None:
    root, call, child = new_id(), new_id(), new_id()
    for header in ("", HEADER):
        mine = run_place(run_id=root, root_id=root, parent_call_id=None, trace_parent=header)
        again = run_place(run_id=root, root_id=root, parent_call_id=None, trace_parent=header)
        below: Any = {
            "root_id": root,
            "parent_call_id": call,
            "trace_parent": child_header(mine, call, trace_parent=header),
        }
        its = run_place(run_id=child, **below)

        assert mine == again
        assert run_parent(**below) == call_place(mine, call)
        assert its.trace_id == mine.trace_id
        assert its.span_id != mine.span_id
        known = trace_id(root_id=root, trace_parent=header)
        assert known == (TRACE if header else root.hex) == mine.trace_hex
        assert trace_id(root_id=root, trace_parent=below["trace_parent"]) == known
    assert run_parent(root_id=root, parent_call_id=None, trace_parent="") is None
    assert run_parent(root_id=root, parent_call_id=None, trace_parent=HEADER) == Place(
        int(TRACE, 16), int(SPAN, 16)
    )


def test_a_share_of_traces_is_made_and_everybody_chooses_the_same(sink: Kept) -> None:
    runs = [new_id() for _ in range(4_000)]
    sink.share = 0.25
    chosen = [run for run in runs if tracing.is_chosen(run.int)]
    own = [tracing.root() for _ in range(4_000)]

    assert 800 < len(chosen) < 1_200
    assert 800 < sum(place.is_sampled for place in own) < 1_200
    sink.share = 0.0
    assert not any(tracing.is_chosen(run.int) for run in runs)
    sink.share = 1.0
    assert all(tracing.is_chosen(run.int) for run in runs)


def test_blocks_are_spans_below_each_other_and_errors_are_told_by_their_kind(sink: Kept) -> None:
    caller = tracing.place_of(HEADER)

    def work() -> None:
        with (
            tracing.span("POST", kind="server", parent=caller) as outer,
            tracing.span("sandbox"),
        ):
            outer["http.route"] = "x"
            raise KeyError("a secret sentence")

    with pytest.raises(KeyError):
        work()
    inner, request = sink.spans

    assert (inner.name, inner.parent) == ("sandbox", request.place)
    assert (request.parent, request.kind, request.error) == (caller, "server", "KeyError")
    assert request.attributes == {"http.route": "x", "error.type": "KeyError"}
    assert request.place.trace_hex == TRACE
    assert "secret" not in repr(sink.spans)
    assert tracing.here() is None


def test_what_the_caller_did_not_sample_is_not_told(sink: Kept) -> None:
    with tracing.span("GET", parent=tracing.place_of(f"00-{TRACE}-{SPAN}-00")):
        assert tracing.header_here().endswith("-00")

    assert sink.spans == []


def test_another_thread_works_in_the_span_it_was_asked_from(sink: Kept) -> None:
    heard: list[str] = []
    with tracing.span("POST"):
        job, header = (
            tracing.carried(lambda: heard.append(tracing.header_here())),
            (tracing.header_here()),
        )
    thread = threading.Thread(target=job)
    thread.start()
    thread.join()

    assert heard == [header]


def test_off_nothing_is_told_and_nothing_is_carried() -> None:
    def job() -> None: ...

    assert not tracing.is_on()
    with tracing.within(tracing.root()):
        assert tracing.header_here() == ""
        assert tracing.carried(job) is job
    assert not tracing.shows_payloads()


def test_names_are_those_of_the_conventions_installed() -> None:
    known = {
        value
        for module in (gen_ai_attributes, http_attributes, error_attributes, url_attributes)
        for name, value in vars(module).items()
        if name.isupper() and "deprecated" not in name.lower()
    }
    used = {
        value
        for name, value in vars(conventions).items()
        if name.isupper() and isinstance(value, str) and "." in value and "/" not in value
    } - {conventions.SCHEMA}

    assert {name for name in used if not name.startswith("agentry.")} <= known
    assert "gen_ai.system" not in used
    assert conventions.SCHEMA_URL in {schema.value for schema in Schemas}
    providers = {value.value for value in gen_ai_attributes.GenAiProviderNameValues}
    assert {p for p in conventions.PROVIDERS.values() if not p.startswith("agentry.")} <= providers
    operations = {value.value for value in gen_ai_attributes.GenAiOperationNameValues}
    assert {conventions.CHAT, conventions.INVOKE_AGENT, conventions.EXECUTE_TOOL} <= operations


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "not one of: none, otlp, console"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "not one of: http/protobuf, grpc"),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "not from 0 to 1"),
        ({"AGENTRY_TRACE_PAYLOADS": "perhaps"}, "neither true nor false"),
    ],
)
def test_what_cannot_be_done_stops_the_start(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        TraceSettings.of(Environment(variables))


def test_the_default_makes_no_traces() -> None:
    assert TraceSettings.of(Environment({})) == TraceSettings()
    assert TraceSettings().exporter == "none"


def run_python(code: str, **variables: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path), **variables},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def test_off_nothing_of_opentelemetry_is_imported() -> None:
    code = (
        "import json, sys\n"
        "import core.tracing, sandbox.worker, sandbox.remote.runner\n"
        "from core.tracing.setup import TraceSettings, tracing_start\n"
        "tracing_start(TraceSettings(), role='worker', instance='w')\n"
        "before = [m for m in sys.modules if m.startswith('opentelemetry')]\n"
        "import django; django.setup()\n"
        "import agentry_site.asgi, agents.execution.host, agents.lane.lane\n"
        "kinds = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'grpc', 'core.tracing.e')\n"
        "print(json.dumps([before, [m for m in sys.modules if m.startswith(kinds)]]))\n"
    )
    found = run_python(code, DJANGO_SETTINGS_MODULE="agentry_site.settings.base")

    # The Redis client looks for OpenTelemetry's metrics by itself; traces are nobody's but ours.
    assert found == [[], []]


def test_spans_go_to_standard_output_where_that_is_asked_for() -> None:
    code = (
        "from core import tracing\n"
        "from core.tracing.setup import *\n"
        "tracing_start(TraceSettings(exporter='console'), role='worker', instance='w-0')\n"
        f"with tracing.span('POST', kind='server', parent=tracing.place_of('{HEADER}')) as told:\n"
        "    told['gen_ai.response.finish_reasons'] = ['stop']\n"
        "    told['error.type'] = '500'\n"
        "tracing_stop()\n"
    )
    span = run_python(code, OTEL_RESOURCE_ATTRIBUTES="service.name=mine")

    assert span["context"]["trace_id"] == f"0x{TRACE}"
    assert span["parent_id"] == f"0x{SPAN}"
    assert span["kind"] == "SpanKind.SERVER"
    assert span["status"] == {"status_code": "ERROR", "description": "500"}
    assert span["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert span["resource"]["attributes"]["service.name"] == "mine"
    assert span["resource"]["attributes"]["agentry.role"] == "worker"
    assert span["resource"]["attributes"]["service.instance.id"] == "w-0"
