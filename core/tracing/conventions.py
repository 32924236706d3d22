"""The names that spans use, in one place: OpenTelemetry's own, and ours where it has none.

From the semantic conventions of version SCHEMA; a test compares them with the installed package.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/
"""

from typing import Final

SCHEMA: Final = "1.44.0"
SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/{SCHEMA}"

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
# Payloads; only where AGENTRY_TRACE_PAYLOADS says so.
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"

HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
URL_SCHEME: Final = "url.scheme"
ERROR_TYPE: Final = "error.type"

CHAT: Final = "chat"
INVOKE_AGENT: Final = "invoke_agent"
EXECUTE_TOOL: Final = "execute_tool"

# `gen_ai.provider.name` of each kind of provider; what the conventions do not know has our prefix.
PROVIDERS: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
    "scripted": "agentry.scripted",
}

# Ours: the conventions have no word for these.
RUN_ID: Final = "agentry.run.id"
RUN_STATE: Final = "agentry.run.state"
RUN_DEPTH: Final = "agentry.run.depth"
RUN_FENCE: Final = "agentry.run.fence"
WORKSPACE_ID: Final = "agentry.workspace.id"
WORKER: Final = "agentry.worker"
COST_USD: Final = "agentry.cost_usd"
TOOL_STATE: Final = "agentry.tool.state"
TOOL_EFFECT: Final = "agentry.tool.effect"
SANDBOX_ENGINE: Final = "agentry.sandbox.engine"
SANDBOX_ENDED: Final = "agentry.sandbox.ended_by"
