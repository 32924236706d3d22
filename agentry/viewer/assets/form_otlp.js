// OTLP JSON: requests with `resourceSpans`, one a line or one in the whole file.

import { nanoTimeOf } from "./times.js";
import { oneLine } from "./text.js";

const MODEL = new Set(["chat", "text_completion", "generate_content", "embeddings"]);
const AGENT = new Set(["invoke_agent", "create_agent", "invoke_workflow"]);
const TEXTS = new Map([
  ["gen_ai.tool.call.arguments", "Arguments"],
  ["gen_ai.tool.call.result", "Result"],
  ["gen_ai.input.messages", "Input"],
  ["gen_ai.output.messages", "Output"],
]);

export function isOtlp(row) {
  return Array.isArray(row.resourceSpans);
}

// Returns a sentence about what is wrong, or nothing. A span that cannot be read is named by itself.
export function tellOtlp(story, row, line) {
  let found = 0;
  for (const resource of row.resourceSpans) {
    const service = attributesOf(resource?.resource?.attributes).get("service.name");
    for (const scope of listOf(resource?.scopeSpans)) {
      for (const span of listOf(scope?.spans)) {
        found += 1;
        const sentence = tellSpan(story, span, service, line);
        if (sentence) story.problem(line.number, sentence);
      }
    }
  }
  return found ? "" : "has no spans";
}

function tellSpan(story, span, service, line) {
  const begin = nanoTimeOf(span?.startTimeUnixNano);
  const end = nanoTimeOf(span?.endTimeUnixNano);
  const name = oneLine(span?.name ?? "", 120);
  if (!Number.isFinite(begin)) return `has a span “${name}” without a start time`;
  const known = attributesOf(span.attributes);
  const operation = known.get("gen_ai.operation.name");
  const agentName = known.get("gen_ai.agent.name") ?? service ?? "spans";
  const agent = String(known.get("gen_ai.agent.id") ?? known.get("agentry.run.id") ?? agentName);
  story.agent(agent, { name: String(agentName) });
  const isError = span.status?.code === 2 || span.status?.code === "STATUS_CODE_ERROR";
  if (!story.event(line, begin, agent, "span.start", name, isError)) return "";
  const type = typeOf(operation, known);
  const made = story.begin("", {
    at: begin, agent, type, title: name, line,
    facts: [["Trace", span.traceId], ["Span", span.spanId], ["Parent", span.parentSpanId], ["Status", span.status?.message]],
    parts: [],
  });
  addAttributes(made, known);
  if (Number.isFinite(end) && end > 0) {
    made.end = Math.max(end, begin);
    made.state = isError ? "error" : "ok";
    story.event(line, made.end, agent, "span.end", name, isError);
  }
  for (const event of listOf(span.events).slice(0, 1000)) {
    const at = nanoTimeOf(event?.timeUnixNano);
    if (Number.isFinite(at)) story.event(line, at, agent, "span.event", event?.name ?? "");
  }
  story.tokens += (Number(known.get("gen_ai.usage.input_tokens")) || 0) + (Number(known.get("gen_ai.usage.output_tokens")) || 0);
  tellTalk(story, made, known);
  return "";
}

function typeOf(operation, known) {
  if (MODEL.has(operation)) return "model";
  if (operation === "execute_tool" || known.has("gen_ai.tool.name")) return "tool";
  return AGENT.has(operation) ? "run" : "span";
}

function addAttributes(made, known) {
  for (const [name, value] of known) {
    if (TEXTS.has(name)) made.parts.push({ title: TEXTS.get(name), value: parsed(value) });
    else if (made.facts.length < 60) made.facts.push([name, typeof value === "object" ? oneLine(JSON.stringify(value), 200) : value]);
  }
}

function tellTalk(story, made, known) {
  const common = { agent: made.agent, span: made, line: made.line };
  if (made.type === "tool") {
    const name = String(known.get("gen_ai.tool.name") ?? made.title);
    story.say({ at: made.begin, role: "tool", title: name, text: String(known.get("gen_ai.tool.call.arguments") ?? ""), ...common });
    if (made.end !== null) {
      const text = known.get("gen_ai.tool.call.result") ?? "";
      story.say({ at: made.end, role: made.state === "error" ? "failure" : "answer", title: name, text: String(text), ...common });
    }
  } else if (made.type === "model" && known.has("gen_ai.output.messages")) {
    story.say({ at: made.end ?? made.begin, role: "assistant", title: made.title, text: String(known.get("gen_ai.output.messages")), ...common });
  }
}

function parsed(value) {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value; // a text that is no document is shown as it is
  }
}

function attributesOf(list) {
  const found = new Map();
  for (const item of listOf(list).slice(0, 200)) {
    if (typeof item?.key === "string") found.set(item.key, valueOf(item.value));
  }
  return found;
}

function valueOf(value) {
  if (value === null || typeof value !== "object") return value;
  if ("stringValue" in value) return value.stringValue;
  if ("intValue" in value) return Number(value.intValue);
  if ("doubleValue" in value) return value.doubleValue;
  if ("boolValue" in value) return value.boolValue;
  if ("arrayValue" in value) return listOf(value.arrayValue?.values).slice(0, 50).map((item) => item?.stringValue ?? item?.intValue ?? item?.doubleValue ?? item?.boolValue ?? null);
  return null;
}

function listOf(value) {
  return Array.isArray(value) ? value : [];
}
