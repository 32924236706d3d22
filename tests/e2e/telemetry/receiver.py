"""A collector of traces as a process of its own: OTLP over HTTP and over gRPC.

    python -m tests.e2e.telemetry.receiver FILE      # prints {"http": port, "grpc": port}

Every span it is sent becomes a line of JSON in FILE. It ends with its standard input.
"""

import json
import sys
import threading
from concurrent import futures
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc  # its stubs are a package of their own
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

_lock = threading.Lock()


def keep(file: Path, request: ExportTraceServiceRequest, way: str) -> None:
    lines = [
        json.dumps(_told(span, _plain(group.resource.attributes), scoped.schema_url, way))
        for group in request.resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    ]
    with _lock, file.open("a", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in lines)


def _told(span: Any, resource: dict[str, Any], schema: str, way: str) -> dict[str, Any]:
    return {
        "way": way,
        "resource": resource,
        "schema": schema,
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "began": span.start_time_unix_nano,
        "ended": span.end_time_unix_nano,
        "attributes": _plain(span.attributes),
        "status": span.status.code,
    }


def _plain(pairs: "list[KeyValue] | Any") -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def main() -> None:
    file = Path(sys.argv[1])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = decompress(body)
            is_ours = self.path == "/v1/traces"
            if is_ours:
                keep(file, ExportTraceServiceRequest.FromString(body), "http")
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if is_ours else 404)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            """Keep quiet: what came is in the file."""

    class Service(TraceServiceServicer):
        def Export(  # noqa: N802  # the protocol's name
            self, request: ExportTraceServiceRequest, context: Any
        ) -> ExportTraceServiceResponse:
            keep(file, request, "grpc")
            return ExportTraceServiceResponse()

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(json.dumps({"http": web.server_port, "grpc": port}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(1)
    web.shutdown()


if __name__ == "__main__":
    main()
