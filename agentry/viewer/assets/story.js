// What a trace tells, whatever its form: agents, spans on a time axis, a conversation, events.
// Keys that come from a file are only ever keys of a Map.

import { oneLine } from "./text.js";

export const MAX_EVENTS = 400_000;
export const MAX_PROBLEMS = 200;

export class Story {
  constructor() {
    this.form = "";
    this.agents = new Map(); // id → { id, name, parent, index, events }
    this.events = []; // { at, agent, kind, gist, line, isError }, in order of time once finished
    this.spans = []; // { id, agent, type, title, begin, end, state, facts, parts, line }
    this.talk = []; // { at, agent, role, title, text, pieces, span, line }
    this.problems = []; // { number, sentence }
    this.problemCount = 0;
    this.left = 0; // events beyond what is held
    this.counted = new Map(); // agent → tokens of its steps since its last total
    this.tokens = 0;
    this.cost = null;
    this.open = new Map();
  }

  problem(number, sentence) {
    this.problemCount += 1;
    if (this.problems.length < MAX_PROBLEMS) this.problems.push({ number, sentence });
  }

  agent(id, { name, parent } = {}) {
    let found = this.agents.get(id);
    if (!found) {
      found = { id, name: "", parent: "", index: this.agents.size, events: 0 };
      this.agents.set(id, found);
    }
    if (name) found.name = oneLine(name, 80);
    if (parent) found.parent = parent;
    return found;
  }

  // Returns false when the trace holds no more.
  event(line, at, agent, kind, gist, isError = false) {
    if (this.events.length >= MAX_EVENTS) {
      this.left += 1;
      return false;
    }
    this.agent(agent).events += 1;
    this.events.push({ at, agent, kind: oneLine(kind, 60), gist: oneLine(gist, 240), line, isError });
    return true;
  }

  begin(key, { at, agent, type, title, line, facts = [], parts = [] }) {
    const span = {
      id: this.spans.length, agent, type, title: oneLine(title, 120), begin: at, end: null, state: "open",
      facts: [...facts], parts: [...parts], line,
    };
    this.spans.push(span);
    if (key) {
      if (!this.open.has(key)) this.open.set(key, []);
      this.open.get(key).push(span);
    }
    return span;
  }

  underway(key) {
    return this.open.get(key)?.[0];
  }

  // Ends the oldest open span of that key; returns it.
  end(key, at, { state = "ok", facts = [], parts = [] } = {}) {
    const open = this.open.get(key);
    if (!open?.length) return undefined;
    const span = open.shift();
    if (!open.length) this.open.delete(key);
    span.end = Math.max(at, span.begin);
    span.state = state;
    span.facts.push(...facts);
    span.parts.push(...parts);
    return span;
  }

  say(entry) {
    this.talk.push({ title: "", span: null, pieces: null, ...entry });
    return this.talk.at(-1);
  }

  stepTokens(agent, number) {
    this.counted.set(agent, (this.counted.get(agent) ?? 0) + number);
  }

  // What an agent says it has used in all takes the place of what its steps were counted to.
  totalTokens(agent, number) {
    this.tokens += number || (this.counted.get(agent) ?? 0);
    this.counted.delete(agent);
  }

  addCost(value) {
    const number = typeof value === "string" ? Number(value) : value;
    if (typeof number === "number" && Number.isFinite(number)) this.cost = (this.cost ?? 0) + number;
  }

  // Puts everything in order; nothing is added afterwards.
  finish() {
    for (const agent of [...this.counted.keys()]) this.totalTokens(agent, 0);
    const byTime = (a, b) => a.at - b.at;
    this.events.sort(byTime);
    this.talk.sort(byTime);
    let first = Infinity;
    let last = -Infinity;
    for (const event of this.events) {
      first = Math.min(first, event.at);
      last = Math.max(last, event.at);
    }
    for (const span of this.spans) {
      first = Math.min(first, span.begin);
      last = Math.max(last, span.end ?? span.begin);
    }
    this.first = Number.isFinite(first) ? first : 0;
    this.last = Number.isFinite(last) ? last : 0;
    this.spans.sort((a, b) => a.begin - b.begin || a.id - b.id);
    this.spans.forEach((span, index) => { span.id = index; });
    this.times = Float64Array.from(this.events, (event) => event.at);
    this.open.clear();
    return this;
  }
}
