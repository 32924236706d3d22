"""A story with everything a viewer can be told: text, tools, a child, refusals, hostile content."""

from tests.integration.agentry.contract_server import CHILD, RUN, ContractServer

HOSTILE = "\x1b]0;owned\x07[red]plain[/red]\x1b[2J\u202edone"


def delegation(server: ContractServer) -> None:
    """The researcher writes a file, delegates to the writer, and answers."""
    usage = {"input_tokens": 600, "output_tokens": 17}
    server.tell(
        RUN,
        ("run.created", {"agent": "researcher"}),
        ("run.state", {"state": "running", "before": "queued"}),
        ("step.started", {"step": 1}),
        ("step.model", {"step": 1, "text": "I shall look.", "usage": usage, "cost_usd": "0.006"}),
        ("tool.planned", {"call_id": "c1", "tool": "write", "state": "planned",
                          "arguments": {"path": "notes.md", "content": HOSTILE}}),
        ("tool.settled", {"call_id": "c1", "tool": "write", "state": "committed",
                          "result": "12 bytes", "duration_seconds": 0.25}),
        ("tool.planned", {"call_id": "c2", "tool": "fetch", "state": "planned",
                          "arguments": {"url": "http://10.0.0.1/"}}),
        ("tool.settled", {"call_id": "c2", "tool": "fetch", "state": "denied",
                          "reason": "private address"}),
        ("tool.planned", {"call_id": "c3", "tool": "agent", "state": "planned",
                          "arguments": {"agent": "writer", "task": "Write it up"}}),
        ("run.child", {"run_id": CHILD, "agent": "writer"}),
        ("run.state", {"state": "waiting", "wait_kind": "children"}),
        ("run.state", {"state": "running"}),
        ("tool.settled", {"call_id": "c3", "tool": "agent", "state": "committed",
                          "result": "Once upon a time."}),
        ("step.started", {"step": 2}),
        ("step.model", {"step": 2, "text": "Hello.", "usage": usage, "cost_usd": "0.0063"}),
        ("run.state", {"state": "succeeded", "is_terminal": True, "output": "Hello."}),
    )  # fmt: skip
    server.tell(
        CHILD,
        ("run.created", {"agent": "writer"}),
        ("step.started", {"step": 1}),
        ("step.model", {"step": 1, "text": "Once upon\na time."}),
        ("run.state", {"state": "succeeded", "is_terminal": True}),
        agent="writer",
        input="Write it up",
        output="Once upon\na time.",
        iteration=1,
        cost_usd="0",
        usage={},
    )
    server.deltas[RUN] = {4: ["I shall ", "look."]}
