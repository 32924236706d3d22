// The trail of a run as the page knows it: marks of what happened, folded into spans of time, and
// the runs it started. Fetched page by page behind the last mark; only a bounded number is kept.

import { ask, gathered, Refused } from "./run_live.js";

const GATHER_MS = 80; // news within this time is shown at once
const CHILDREN_MS = 250; // children have sockets of their own; here they are asked for while somebody looks
const MAX_SPANS = 20_000;
const ENDED = new Set(["succeeded", "failed", "cancelled"]);
const PARKED = new Set(["waiting", "paused", "yielded"]);
const SETTLED = new Set(["tool.settled", "tool.resolved"]);

export class Trail {
  constructor(url) {
    this.url = url;
    this.after = 0;
    this.marks = [];
    this.spans = [];
    this.children = new Map(); // by the call that started them
    this.run = null;
    this.isWhole = false;
    this.dropped = 0;
    this.refused = "";
    this.calls = new Map();
    this.parked = null;
    this.phases = [];
    this.skew = 0;
    this.since = 0;
    this.readers = new Set();
    this.isWatched = () => !document.hidden; // whether anybody looks at what it draws
    this.load = gathered(() => this.fetchAll(), GATHER_MS);
  }

  /** The server's time, in milliseconds. */
  now() {
    return Date.now() + this.skew;
  }

  get begin() {
    return this.run?.created ?? 0;
  }

  get end() {
    return this.run && !this.run.is_live && this.run.finished ? this.run.finished : this.now();
  }

  get isLive() {
    return this.run?.is_live ?? true;
  }

  get ended() {
    return [...this.children.values()].filter((child) => ENDED.has(child.state)).length;
  }

  onChange(read) {
    this.readers.add(read);
  }

  async fetchAll() {
    let hasMore = true;
    while (hasMore) {
      hasMore = await this.fetchPage();
      if (!hasMore) this.isWhole = true;
      for (const read of this.readers) read(this);
    }
    this.watchChildren();
  }

  async fetchPage() {
    const since = this.since ? `&since=${Math.floor(this.since)}` : "";
    let page;
    try {
      page = await (await ask(`${this.url}?after=${this.after}${since}`)).json();
    } catch (error) {
      if (error instanceof Refused) {
        this.refused = error.message;
        for (const read of this.readers) read(this);
      }
      throw error;
    }
    this.run = page.run;
    this.skew = page.now - Date.now();
    this.since = page.now;
    this.after = page.after;
    for (const child of page.children) this.children.set(child.call ?? child.id, child);
    for (const mark of page.marks) this.fold(mark);
    this.trim();
    return page.has_more;
  }

  watchChildren() {
    clearTimeout(this.timer);
    const hasLive = [...this.children.values()].some((child) => !ENDED.has(child.state));
    if (hasLive && this.isWatched()) this.timer = setTimeout(() => this.load(), CHILDREN_MS);
  }

  trim() {
    const spare = this.marks.length - MAX_SPANS;
    if (spare <= 0) return;
    this.dropped += spare;
    this.marks.splice(0, spare);
    const gone = this.spans.splice(0, Math.max(this.spans.length - MAX_SPANS, 0));
    for (const span of gone) if (span.call) this.calls.delete(span.call);
  }

  fold(mark) {
    this.marks.push(mark);
    if (mark.kind === "step.model") this.foldAnswer(mark);
    else if (mark.call) this.foldCall(mark);
    else if (mark.kind === "run.state") this.foldState(mark);
    else if (mark.kind === "run.claimed") this.foldPhase("running", "", mark.at);
    else if (mark.kind === "run.released" || mark.kind === "run.created") this.foldPhase("queued", "", mark.at);
    else if (mark.kind === "step.retry") {
      this.add({ kind: "model", key: `r${mark.n}`, title: "no answer, asked again", from: mark.at, to: mark.at, isError: true, mark });
    }
  }

  foldAnswer(mark) {
    this.add({
      kind: "model", key: `m${mark.n}`, title: mark.model || "model", from: mark.at - (mark.took ?? 0), to: mark.at, mark,
      isError: mark.finish === "error",
    });
  }

  foldCall(mark) {
    const span = this.calls.get(mark.call);
    if (mark.kind === "tool.planned") {
      if (span) return;
      const added = this.add({
        kind: "tool", key: mark.call, call: mark.call, title: mark.tool, from: mark.at, to: null, mark, state: mark.state, segments: [],
        effect: mark.effect, attempt: mark.attempt ?? 0,
      });
      this.calls.set(mark.call, added);
      this.cutSegment(added, mark.state, mark.at);
      return;
    }
    if (!span) return;
    if (mark.kind !== "approval.noted" && mark.state) span.state = mark.state;
    span.attempt = Math.max(span.attempt, mark.attempt ?? 0);
    span.wait = mark.wait || (PARKED.has(mark.state) ? span.wait : "");
    span.isError = mark.is_error || ["failed", "denied", "expired"].includes(span.state);
    const isOver = SETTLED.has(mark.kind) && !["waiting", "in_doubt"].includes(span.state);
    span.to = isOver ? mark.at : null;
    this.cutSegment(span, isOver ? null : span.state, mark.at);
  }

  // A call is planned, runs, waits: each is a piece of its bar.
  cutSegment(span, state, at) {
    const open = span.segments.at(-1);
    if (open && open.to === null) open.to = at;
    if (state !== null) span.segments.push({ state, from: at, to: null });
  }

  foldState(mark) {
    this.foldPhase(mark.state, mark.wait ?? "", mark.at);
    if (this.parked) {
      this.parked.to = mark.at;
      this.parked = null;
    }
    if (!PARKED.has(mark.state)) return;
    const title = mark.state === "waiting" ? `waits for ${(mark.wait || "something").replaceAll("_", " ")}` : mark.state;
    this.parked = this.add({ kind: "wait", key: `w${mark.n}`, title, from: mark.at, to: null, mark, state: mark.state, wait: mark.wait });
  }

  foldPhase(state, wait, at) {
    const open = this.phases.at(-1);
    if (open && open.state === state) return;
    if (open && open.to === null) open.to = at;
    this.phases.push({ state, wait, from: at, to: ENDED.has(state) ? at : null });
  }

  add(span) {
    this.spans.push(span);
    return span;
  }
}
