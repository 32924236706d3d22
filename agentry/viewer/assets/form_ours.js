// Our own export: { run_id, sequence, kind, at, payload }, one event a line.

import { timeOf } from "./times.js";
import { compact, duration } from "./text.js";

const WAITS = new Set(["waiting", "paused", "yielded", "queued"]);

export function isOurs(row) {
  return typeof row.kind === "string" && typeof row.run_id === "string" && "at" in row;
}

// Returns a sentence about what is wrong, or nothing.
export function tellOurs(story, row, line) {
  const at = timeOf(row.at);
  if (!Number.isFinite(at)) return "has no time its reader knows (`at`)";
  const payload = isObject(row.payload) ? row.payload : {};
  const told = { story, at, agent: row.run_id, payload, line };
  const isError = payload.is_error === true || payload.state === "failed";
  if (!story.event(line, at, row.run_id, row.kind, gistOf(row, payload), isError)) return "";
  const tell = TELL.get(row.kind);
  if (tell) tell(told);
  return "";
}

function gistOf(row, payload) {
  if (row.payload_hidden === true) return "payload hidden";
  if (row.kind === "run.state") {
    return [`${payload.before ? `${payload.before} → ` : ""}${payload.state ?? ""}`, payload.wait_kind, payload.reason].filter(Boolean).join(" · ");
  }
  if (row.kind.startsWith("tool.")) return [payload.tool, payload.state, payload.reason].filter(Boolean).join(" · ");
  if (row.kind === "step.model") return [payload.model, payload.finish, payload.text].filter(Boolean).join(" · ");
  if (row.kind === "step.started") return String(payload.model ?? "");
  return payload.sentence ?? (Object.keys(payload).length ? compact(payload, 200) : "");
}

const TELL = new Map([
  ["run.created", created],
  ["run.state", moved],
  ["run.child", child],
  ["run.note", note],
  ["step.started", asked],
  ["step.model", answered],
  ["step.retry", retried],
  ["tool.planned", planned],
  ["tool.dispatched", dispatched],
  ["tool.parked", parked],
  ["approval.decided", decided],
  ["tool.settled", settled],
]);

function created({ story, at, agent, payload, line }) {
  story.agent(agent, { name: payload.agent, parent: payload.parent });
  story.begin(`run ${agent}`, { at, agent, type: "run", title: payload.agent || "run", line });
  if (payload.input) story.say({ at, agent, role: "user", title: "Input", text: payload.input, line });
}

function moved({ story, at, agent, payload, line }) {
  const state = String(payload.state ?? "");
  story.end(`wait ${agent}`, at);
  if (payload.is_terminal) {
    story.end(`model ${agent}`, at, { state: "cut" });
    story.end(`run ${agent}`, at, {
      state: state === "succeeded" ? "ok" : "error",
      facts: [["State", state], ["Reason", payload.reason], ["Cost", payload.cost_usd && `$${payload.cost_usd}`]],
      parts: payload.output ? [{ title: "Output", value: payload.output }] : [],
    });
    story.addCost(payload.cost_usd);
    story.totalTokens(agent, tokensIn(payload.usage));
    const text = payload.output || payload.reason || "";
    story.say({ at, agent, role: "result", title: `Run ${state}`, text, line });
  } else if (WAITS.has(state) && state !== "queued") {
    const what = payload.wait_kind ? `waits for ${payload.wait_kind}` : state;
    story.begin(`wait ${agent}`, { at, agent, type: "wait", title: what, line, facts: [["Reason", payload.reason]] });
    story.say({ at, agent, role: "note", title: what, text: payload.reason ?? "", line });
  }
}

function child({ story, at, agent, payload, line }) {
  if (typeof payload.run_id !== "string") return;
  story.agent(payload.run_id, { name: payload.agent, parent: agent });
  story.say({ at, agent, role: "note", title: `starts ${payload.agent ?? "a child run"}`, text: "", line });
}

function note({ story, at, agent, payload, line }) {
  story.say({ at, agent, role: "note", title: payload.code ?? "note", text: payload.sentence ?? "", line });
}

function asked({ story, at, agent, payload, line }) {
  story.begin(`model ${agent}`, { at, agent, type: "model", title: payload.model || "model", line, facts: [["Step", payload.step]] });
}

function answered({ story, at, agent, payload, line }) {
  const facts = [
    ["Finish", payload.finish], ["Cost", payload.cost_usd && `$${payload.cost_usd}`],
    ...Object.entries(isObject(payload.usage) ? payload.usage : {}).slice(0, 12),
    ["Asks for", Array.isArray(payload.tools) ? payload.tools.slice(0, 20).join(", ") : ""],
  ];
  const parts = payload.text ? [{ title: "Answer", value: payload.text }] : [];
  let span = story.end(`model ${agent}`, at, { facts, parts });
  if (!span) {
    const began = at - 1000 * (Number(payload.duration_seconds) || 0);
    span = story.begin("", { at: began, agent, type: "model", title: payload.model || "model", line, facts, parts });
    span.end = at;
    span.state = "ok";
  }
  story.stepTokens(agent, tokensIn(payload.usage));
  if (payload.text) story.say({ at, agent, role: "assistant", title: payload.model ?? "", text: payload.text, span, line });
}

function retried({ story, at, agent, payload, line }) {
  story.end(`model ${agent}`, at, { state: "error", parts: [{ title: "Retry", value: payload }] });
  story.say({ at, agent, role: "note", title: "The model is asked again", text: payload.reason ?? payload.sentence ?? "", line });
}

function planned({ story, at, agent, payload, line }) {
  const key = `tool ${agent} ${payload.call_id}`;
  const span = story.begin(key, {
    at, agent, type: "tool", title: payload.tool || "tool", line,
    facts: [["Call", payload.call_id], ["Effect", payload.effect]],
    parts: isObject(payload.arguments) ? [{ title: "Arguments", value: payload.arguments }] : [],
  });
  story.say({ at, agent, role: "tool", title: payload.tool ?? "", text: isObject(payload.arguments) ? compact(payload.arguments) : "", span, line });
}

function dispatched({ story, at, agent, payload, line }) {
  const span = story.underway(`tool ${agent} ${payload.call_id}`);
  if (!span) planned({ story, at, agent, payload, line });
  else span.facts.push(["Waited", duration((at - span.begin) / 1000)]);
}

function parked({ story, at, agent, payload, line }) {
  const span = story.underway(`tool ${agent} ${payload.call_id}`);
  span?.facts.push(["Waits for", payload.wait_kind]);
  story.say({ at, agent, role: "note", title: `${payload.tool ?? "call"} waits for ${payload.wait_kind ?? "something"}`, text: payload.reason ?? "", span, line });
}

function decided({ story, at, agent, payload, line }) {
  const what = [payload.state ?? payload.verdict, payload.by && `by ${payload.by}`].filter(Boolean).join(" ");
  story.say({ at, agent, role: "note", title: `Approval ${what}`, text: payload.reason ?? "", line });
}

function settled({ story, at, agent, payload, line }) {
  const state = payload.is_error || payload.state === "denied" ? "error" : "ok";
  const parts = payload.result ? [{ title: "Result", value: payload.result }] : [];
  const facts = [["State", payload.state], ["Attempt", payload.attempt], ["Took", payload.duration_seconds && duration(payload.duration_seconds)], ["Reason", payload.reason]];
  const key = `tool ${agent} ${payload.call_id}`;
  if (!story.underway(key)) planned({ story, at, agent, payload, line });
  const span = story.end(key, at, { state, facts, parts });
  story.say({ at, agent, role: state === "error" ? "failure" : "answer", title: payload.tool ?? "", text: payload.result || payload.reason || "", span, line });
}

function tokensIn(usage) {
  if (!isObject(usage)) return 0;
  return (Number(usage.input_tokens) || 0) + (Number(usage.output_tokens) || 0);
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
