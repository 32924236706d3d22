// Files of the earlier tool: { ts, type, agent_id, data }; arguments in answers are base64 of JSON.

import { timeOf } from "./times.js";
import { compact, oneLine } from "./text.js";

const TYPES = new Set(["model_start", "step_start", "tool_start", "tool_end", "token", "final", "yield", "summary"]);

export function isEarlier(row) {
  return typeof row.type === "string" && "ts" in row && "agent_id" in row;
}

// Returns a sentence about what is wrong, or nothing.
export function tellEarlier(story, row, line) {
  const at = timeOf(row.ts);
  if (!Number.isFinite(at)) return "has no time its reader knows (`ts`)";
  if (!TYPES.has(row.type)) return `is of the type “${oneLine(row.type, 40)}”, which the format does not have`;
  const agent = String(row.agent_id).slice(0, 200);
  let calls = [];
  if (row.type === "step_start") {
    const found = callsOf(row.data);
    if (found.sentence) return found.sentence;
    calls = found.calls;
  }
  if (!story.event(line, at, agent, row.type, gistOf(row, calls))) return "";
  begun(story, at, agent, line);
  TELL.get(row.type)({ story, at, agent, data: row.data, calls, line });
  return "";
}

function begun(story, at, agent, line) {
  const key = `run ${agent}`;
  if (!story.underway(key)) story.begin(key, { at, agent, type: "run", title: oneLine(agent, 60), line });
}

function gistOf(row, calls) {
  const data = row.data;
  if (typeof data === "string") return data.slice(0, 1000);
  if (row.type === "step_start") return [data?.Content, calls.map((call) => call.name).join(", ")].filter(Boolean).join(" · ");
  if (row.type === "tool_start" || row.type === "tool_end") return data?.name ?? "";
  return data === null || data === undefined ? "" : compact(data, 200);
}

function callsOf(data) {
  const calls = [];
  const given = Array.isArray(data?.ToolCalls) ? data.ToolCalls : [];
  for (const call of given) {
    const name = String(call?.Name ?? call?.name ?? "");
    let args = call?.Arguments ?? {};
    if (typeof args === "string" && args) {
      try {
        args = JSON.parse(decoded(args));
      } catch {
        return { calls: [], sentence: `has a call “${oneLine(call?.ID ?? name, 60)}” whose arguments are not base64 of JSON` };
      }
    }
    calls.push({ id: String(call?.ID ?? ""), name, args });
  }
  return { calls, sentence: "" };
}

function decoded(packed) {
  const binary = atob(packed);
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

const TELL = new Map([
  ["model_start", ({ story, at, agent, data, line }) => {
    story.end(`model ${agent}`, at, { state: "cut" });
    story.begin(`model ${agent}`, { at, agent, type: "model", title: typeof data === "string" ? data : data?.model ?? "model", line });
  }],
  ["token", ({ story, at, agent, data, line }) => {
    let entry = story.streams?.get(agent);
    if (!entry) {
      entry = story.say({ at, agent, role: "assistant", title: "", text: "", line, pieces: [], span: story.underway(`model ${agent}`) ?? null });
      story.streams = (story.streams ?? new Map()).set(agent, entry);
    }
    entry.pieces.push({ at, text: String(data ?? "").slice(0, 10_000) });
  }],
  ["step_start", ({ story, at, agent, data, calls, line }) => {
    const usage = [["Tokens in", data?.InputTokens], ["Tokens out", data?.OutputTokens], ["Asks for", calls.map((call) => call.name).join(", ")]];
    const text = typeof data?.Content === "string" ? data.Content : "";
    const span = story.end(`model ${agent}`, at, { facts: usage, parts: text ? [{ title: "Answer", value: text }] : [] });
    story.stepTokens(agent, (Number(data?.InputTokens) || 0) + (Number(data?.OutputTokens) || 0));
    streamed(story, agent, at);
    if (text) story.say({ at, agent, role: "assistant", title: "", text, span, line });
    for (const call of calls) {
      story.say({ at, agent, role: "tool", title: call.name, text: compact(call.args), line });
      planned(story, agent).push(call);
    }
  }],
  ["tool_start", ({ story, at, agent, data, line }) => {
    const name = String(data?.name ?? "tool");
    const waiting = planned(story, agent);
    const index = waiting.findIndex((call) => call.name === name);
    const call = index === -1 ? undefined : waiting.splice(index, 1)[0];
    story.begin(`tool ${agent} ${name}`, {
      at, agent, type: "tool", title: name, line, facts: [["Call", call?.id]],
      parts: [{ title: "Arguments", value: data?.args ?? call?.args ?? {} }],
    });
  }],
  ["tool_end", ({ story, at, agent, data, line }) => {
    const name = String(data?.name ?? "tool");
    const result = data?.result ?? data?.error ?? "";
    const state = data?.error ? "error" : "ok";
    if (!story.underway(`tool ${agent} ${name}`)) story.begin(`tool ${agent} ${name}`, { at, agent, type: "tool", title: name, line });
    const span = story.end(`tool ${agent} ${name}`, at, { state, parts: [{ title: "Result", value: result }] });
    const text = typeof result === "string" ? result : compact(result);
    story.say({ at, agent, role: state === "error" ? "failure" : "answer", title: name, text: text, span, line });
  }],
  ["final", ({ story, at, agent, data, line }) => {
    streamed(story, agent, at);
    story.say({ at, agent, role: "result", title: "Result", text: typeof data === "string" ? data : compact(data ?? ""), line });
  }],
  ["yield", ({ story, at, agent, line }) => {
    story.say({ at, agent, role: "note", title: "yielded", text: "", line });
  }],
  ["summary", ({ story, at, agent, data, line }) => {
    story.end(`model ${agent}`, at, { state: "cut" });
    const state = data?.state === undefined || data.state === "succeeded" ? "ok" : "error";
    story.end(`run ${agent}`, at, { state, facts: [["State", data?.state], ["Tokens", data?.tokens], ["Cost", data?.cost]] });
    story.totalTokens(agent, Number(data?.tokens) || 0);
    story.addCost(data?.cost);
    story.say({ at, agent, role: "note", title: "Summary", text: compact(data ?? {}), line });
  }],
]);

// What came in fragments is replaced by the whole text that follows it.
function streamed(story, agent, at) {
  const entry = story.streams?.get(agent);
  if (!entry) return;
  entry.until = at;
  story.streams.delete(agent);
}

function planned(story, agent) {
  story.planned ??= new Map();
  if (!story.planned.has(agent)) story.planned.set(agent, []);
  return story.planned.get(agent);
}
