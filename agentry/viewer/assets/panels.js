// The other ways to look at a trace: as a conversation, as tool calls, as events; and one thing whole.

import { documentView, textView } from "./document_view.js";
import { el, icon, iconButton } from "./dom.js";
import { upperBound } from "./player.js";
import { Rows } from "./rows.js";
import { bytes, clockTime, duration, oneLine, plain } from "./text.js";

const TURNS = 60;
const ROLES = new Map([
  ["user", "Input"], ["assistant", "Agent"], ["tool", "Calls"], ["answer", "Answered"], ["failure", "Failed"],
  ["note", "Note"], ["result", "Result"],
]);

export class Conversation {
  constructor(viewer) {
    this.viewer = viewer;
    this.most = TURNS;
    this.talk = [];
    this.times = [];
    this.key = "";
    this.list = el("ol", { class: "tv-talk" });
    this.earlier = el("button", { type: "button", class: "button small", onclick: () => { this.most += TURNS; this.refresh(); } });
    this.element = el("div", { class: "tv-conversation", tabindex: "0", role: "region", "aria-label": "Conversation" }, this.earlier, this.list);
  }

  show(talk) {
    this.talk = talk;
    this.times = Float64Array.from(talk, (entry) => entry.at);
    this.most = TURNS;
    this.key = "";
    this.refresh();
  }

  refresh() {
    const { now } = this.viewer.player;
    const until = upperBound(this.times, now);
    const from = Math.max(until - this.most, 0);
    const last = this.talk[until - 1];
    const key = `${from} ${until} ${last?.pieces ? now : ""} ${this.viewer.selected?.id}`;
    if (key === this.key) return;
    this.key = key;
    this.earlier.hidden = from === 0;
    this.earlier.textContent = `Show ${Math.min(TURNS, from)} earlier of ${from}`;
    if (until) this.list.replaceChildren(...this.talk.slice(from, until).filter((entry) => entry.until === undefined || entry.until > now).map((entry) => this.draw(entry, now)));
    else this.list.replaceChildren(el("li", { class: "quiet", text: "Nothing has been said by now." }));
    if (this.viewer.player.isPlaying) this.element.scrollTop = this.element.scrollHeight;
  }

  draw(entry, now) {
    const { story } = this.viewer;
    const agent = story.agents.get(entry.agent) ?? story.agent(entry.agent);
    const text = entry.pieces ? entry.pieces.filter((piece) => piece.at <= now).map((piece) => piece.text).join("") : entry.text;
    const isSpan = entry.span !== null && entry.span !== undefined;
    const head = el("div", { class: "tv-turn-head" },
      el("strong", { text: ROLES.get(entry.role) }),
      entry.title ? el(entry.role === "tool" || entry.role === "answer" || entry.role === "failure" ? "code" : "span", { text: oneLine(entry.title, 120) }) : null,
      el("span", { class: `tv-agent agent-${agent.index % 6}`, text: agentName(agent) }),
      el("span", { class: "tv-at", text: `+${duration((entry.at - story.first) / 1000)}`, title: clockTime(entry.at) }),
      isSpan ? el("button", { type: "button", class: "button small", text: "Details", onclick: () => this.viewer.select(entry.span) }) : null);
    return el("li", { class: `tv-turn is-${entry.role}${isSpan && this.viewer.selected === entry.span ? " is-selected" : ""}` }, head, text ? textView(text) : null);
  }
}

export class Calls {
  constructor(viewer) {
    this.viewer = viewer;
    this.rows = new Rows({ height: 38, draw: (span, index) => this.draw(span, index), label: "Tool calls" });
    this.none = el("p", { class: "tv-none quiet", text: "No tool was called." });
    this.element = el("div", { class: "card tv-list" }, this.none, this.rows.element);
  }

  show(spans) {
    this.rows.show(spans);
    this.none.hidden = spans.length > 0;
    this.rows.element.hidden = spans.length === 0;
  }

  refresh() {
    this.rows.refresh();
  }

  draw(span, index) {
    const { player, story } = this.viewer;
    const isAhead = span.begin > player.now;
    const isOpen = !isAhead && (span.end === null || span.end > player.now);
    const word = isAhead ? "not yet" : isOpen ? "under way" : span.state === "error" ? "failed" : "done";
    const given = span.parts.find((part) => part.title === "Arguments")?.value;
    return el("div", { class: "tv-row" }, el("button", {
      type: "button", "data-index": index, class: `tv-call${isAhead ? " is-ahead" : ""}${this.viewer.selected === span ? " is-selected" : ""}`, onclick: () => this.viewer.select(span),
    },
    el("span", { class: "tv-at", text: `+${duration((span.begin - story.first) / 1000)}` }),
    el("code", { text: span.title }),
    el("span", { class: "tv-gist", text: given === undefined ? "" : oneLine(gist(given), 200) }),
    el("span", { class: `tv-word is-${word.replace(" ", "-")}`, text: word }),
    el("span", { class: "tv-took", text: isAhead || isOpen ? "" : duration((span.end - span.begin) / 1000) })));
  }
}

export class Events {
  constructor(viewer) {
    this.viewer = viewer;
    this.rows = new Rows({ height: 32, draw: (event, index) => this.draw(event, index), label: "Events" });
    this.element = el("div", { class: "card tv-list" }, this.rows.element);
  }

  show(events) {
    this.rows.show(events);
  }

  refresh() {
    this.rows.refresh();
  }

  draw(event, index) {
    const { player, story } = this.viewer;
    const agent = story.agents.get(event.agent);
    return el("div", { class: "tv-row" }, el("button", {
      type: "button", "data-index": index,
      class: `tv-event${event.at > player.now ? " is-ahead" : ""}${event.isError ? " is-error" : ""}${this.viewer.selected === event ? " is-selected" : ""}`,
      onclick: () => this.viewer.select(event),
    },
    el("span", { class: "tv-at", text: `+${duration((event.at - story.first) / 1000)}` }),
    el("code", { text: event.kind }),
    el("span", { class: `tv-agent agent-${agent.index % 6}`, text: agentName(agent) }),
    el("span", { class: "tv-gist", text: event.gist })));
  }
}

export class Detail {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = el("section", { class: "tv-detail card", "aria-label": "Details", "aria-live": "off", tabindex: "-1", hidden: true });
  }

  show(chosen) {
    const { story } = this.viewer;
    this.element.hidden = chosen === null;
    if (chosen === null) return;
    const isSpan = "begin" in chosen;
    const agent = story.agents.get(chosen.agent);
    const at = isSpan ? chosen.begin : chosen.at;
    const facts = [
      ["Agent", agentName(agent)], ["Began", clockTime(at)],
      ...(isSpan ? [["Took", chosen.end === null ? "never ended in this trace" : duration((chosen.end - chosen.begin) / 1000)], ...chosen.facts] : [["Says", chosen.gist]]),
      ["Line", chosen.line.number],
    ].filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== 0);
    const list = el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", { text: oneLine(name, 60) }), el("dd", { text: plain(value).slice(0, 1000) })]));
    const parts = (chosen.parts ?? []).map((part) => el("div", { class: "tv-part" }, el("h3", { text: part.title }), documentView(part.value)));
    const raw = el("details", { class: "tv-raw" }, el("summary", { text: `Line ${chosen.line.number} as it stands in the file` }));
    raw.addEventListener("toggle", () => this.addLine(raw, chosen.line), { once: true });
    this.element.replaceChildren(
      el("div", { class: "card-head" }, el("h2", {}, icon(isSpan ? chosen.type : "span"), el("span", { text: isSpan ? chosen.title : chosen.kind })), iconButton("close", "Close details", () => this.viewer.select(null))),
      el("div", { class: "card-body" }, list, ...parts, raw));
  }

  async addLine(raw, line) {
    const most = 256 * 1024;
    const part = this.viewer.blob.slice(line.start, Math.min(line.end, line.start + most));
    const text = new TextDecoder().decode(await part.arrayBuffer()).trimEnd();
    raw.append(textView(text));
    if (line.end - line.start > most) raw.append(el("p", { class: "quiet", text: `The first 256 KiB of ${bytes(line.end - line.start)}.` }));
  }
}

export function agentName(agent) {
  return agent.name || oneLine(agent.id, 40);
}

function gist(value) {
  if (value === null || typeof value !== "object") return String(value);
  return Object.keys(value).slice(0, 6).map((name) => {
    const member = value[name];
    return `${name}: ${member !== null && typeof member === "object" ? "…" : String(member).slice(0, 80)}`;
  }).join(" · ");
}
