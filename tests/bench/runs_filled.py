"""Fills the run table of a PostgreSQL with what a busy site has after months: 100,000 runs.

Rows are written by one statement of the database itself. Their texts, agents, people, states and
costs are spread as they are in life: most succeeded, few failed for one of several causes, a
handful are under way; some agents are busy and some nearly idle.
"""

from typing import Final

from django.db import connection

from governance.models import User, Workspace

RUNS: Final = 100_000
RARE_WORD: Final = "heliotrope"  # in one run of 5,000
COMMON_WORD: Final = "quarterly"  # in every second run

_FILL: Final = """
INSERT INTO agents_run (
  id, workspace_id, kind, agent_id, agent_name, version_id, snapshot_id, session_id, parent_id,
  parent_call_id, root_id, depth, state, wait_kind, wake_at, reason, error_code, control,
  control_by, fence, lease_until, worker_id, commit_id, crashes, priority, available_at, input,
  output, limits, deadline_at, head_sequence, message_count, iteration, input_tokens,
  output_tokens, cache_read_tokens, cost_usd, cost_is_partial, prefix_run_id, prefix_length,
  forked_from_sequence, replay_of_id, is_rolled_back, requested_by_id, surface, client,
  idempotency_key, request_digest, debug_version, trace_parent,
  created_at, started_at, finished_at, updated_at)
SELECT
  made.id, made.workspace, 'agent', made.agent, made.agent_name, NULL, 'bench', NULL, NULL,
  NULL, made.id, 0, made.state,
  CASE WHEN made.state = 'waiting' THEN 'approval' ELSE '' END, NULL,
  CASE WHEN made.state = 'failed' THEN 'The provider answered 5' || n %% 7 || ' after '
       || n %% 61 || ' s (request req-' || n || ').' ELSE '' END,
  CASE WHEN made.state = 'failed' THEN (ARRAY['provider_error', 'tool_failed', 'bad_history',
       'deadline', 'crashed'])[1 + n %% 5] ELSE '' END,
  '', '', 1, NULL, NULL, NULL, 0, 0, made.at,
  'Write the report number ' || n || CASE WHEN n %% 2 = 0 THEN ' of the quarterly review' ELSE ''
    END || CASE WHEN n %% 5000 = 7 THEN ' about heliotrope' ELSE '' END || ' '
    || (SELECT string_agg(word.text, ' ') FROM (SELECT (%(words)s::text[])[1 + (n * 7 + i * 31
       + i * i * n::bigint) %% 40] AS text FROM generate_series(1, 60) i) word),
  CASE WHEN made.state = 'succeeded' THEN (SELECT string_agg(word.text, ' ') FROM (
       SELECT (%(words)s::text[])[1 + (n * 3 + i * 17 + i * i * n::bigint) %% 40] || i AS text
       FROM generate_series(1, 120) i) word) ELSE '' END,
  '{"max_iterations": 25, "max_tokens": 200000, "max_cost_usd": "5.00"}', NULL,
  40 + n %% 60, 4 + n %% 30, 1 + n %% 12, 800 + n %% 30000, 100 + n %% 3000, 0,
  CASE WHEN n %% 997 = 0 THEN 5 + n %% 40 ELSE round((n %% 1000)::numeric / 2500, 6) END,
  n %% 211 = 0, NULL, 0, NULL, NULL, false, made.person,
  (ARRAY['api', 'console', 'agent', 'api'])[1 + n %% 4], '', '', '', 0, '',
  made.at, made.at, CASE WHEN made.state IN ('succeeded', 'failed', 'cancelled')
  THEN made.at + make_interval(secs => 5 + n %% 300) END, made.at + make_interval(secs => n %% 300)
FROM (
  SELECT n, at, workspace, agent.id AS agent, agent.name AS agent_name, person,
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
      || lpad(to_hex(n %% 4096), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid AS id,
    CASE WHEN n > %(runs)s - 40 THEN 'running' WHEN n > %(runs)s - 100 THEN 'queued'
         WHEN n %% 500 = 3 THEN 'waiting' WHEN n %% 1500 = 4 THEN 'paused'
         WHEN n %% 24 = 5 THEN 'failed' WHEN n %% 40 = 6 THEN 'cancelled'
         ELSE 'succeeded' END AS state
  FROM (
    SELECT n, now() - (%(runs)s - n) * interval '26 seconds' AS at,
      (%(workspaces)s::uuid[])[CASE WHEN n %% 20 = 0 THEN 2 ELSE 1 END] AS workspace,
      (%(people)s::uuid[])[CASE WHEN n %% 4000 = 11 THEN 8 ELSE 1 + (n %% 91) %% 7 END] AS person,
      CASE WHEN n %% 3000 = 13 THEN 20 ELSE 1 + (n %% 101) %% 19 END AS agent_number
    FROM generate_series(1, %(runs)s) n) spread
  JOIN bench_agent agent ON agent.number = spread.agent_number
    AND agent.workspace_id = spread.workspace) made
"""

WORDS: Final = [
    "invoice",
    "customer",
    "shipment",
    "refund",
    "balance",
    "account",
    "ledger",
    "summary",
    "outage",
    "incident",
    "service",
    "deploy",
    "latency",
    "memory",
    "request",
    "answer",
    "meeting",
    "contract",
    "renewal",
    "discount",
    "region",
    "margin",
    "forecast",
    "pipeline",
    "backlog",
    "ticket",
    "sprint",
    "release",
    "change",
    "review",
    "policy",
    "budget",
    "audit",
    "access",
    "token",
    "secret",
    "vendor",
    "order",
    "stock",
    "carrier",
]


def fill(runs: int = RUNS) -> tuple[Workspace, User]:
    """Fill an empty, migrated database; return the busy workspace and one of its people."""
    from tests.factories.governance import join, make_workspace

    busy, other = make_workspace("acme"), make_workspace("other")
    operator = join(busy, "olga", "operator").user
    User.objects.filter(pk=operator.pk).update(is_staff=True)
    colleagues = (join(busy, f"person{number}", "viewer").user for number in range(1, 8))
    people = [operator, *colleagues]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO agents_runsnapshot (digest, workspace_id, content, created_at) "
            "VALUES ('bench', %s, '{}', now())",
            [busy.pk],
        )
        cursor.execute(
            "INSERT INTO agents_agent (id, workspace_id, name, description, is_enabled, "
            "created_at, updated_at) SELECT gen_random_uuid(), w, "
            "'agent-' || lpad(n::text, 2, '0'), '', true, now(), now() "
            "FROM generate_series(1, 20) n, unnest(%s::uuid[]) w",
            [[busy.pk, other.pk]],
        )
        cursor.execute(
            "CREATE TEMPORARY TABLE bench_agent AS SELECT id, name, workspace_id, "
            "substr(name, 7)::int AS number FROM agents_agent"
        )
        cursor.execute(
            _FILL,
            {
                "runs": runs,
                "workspaces": [busy.pk, other.pk],
                "people": [person.pk for person in people],
                "words": WORDS,
            },
        )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return busy, operator
