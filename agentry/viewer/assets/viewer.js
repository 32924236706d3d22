// The viewer: takes a file, reads it here, and replays it. Nothing of it leaves the page.

import { el, icon, iconButton } from "./dom.js";
import { agentName, Calls, Conversation, Detail, Events } from "./panels.js";
import { Player, SPEEDS } from "./player.js";
import { readTrace, UnreadableError } from "./reading.js";
import { bytes, clockTime, count, duration, oneLine } from "./text.js";
import { Waterfall } from "./waterfall.js";

const SCRUB_STEPS = 10_000;
const TABS = [["waterfall", "Waterfall"], ["conversation", "Conversation"], ["calls", "Tool calls"], ["events", "Events"]];

export class Viewer {
  constructor(root) {
    this.root = root;
    this.story = null;
    this.selected = null;
    this.readings = 0;
    this.chosen = el("input", { type: "file", accept: ".jsonl,.json,.ndjson,.log,.txt", class: "visually-hidden", id: "tv-file", "aria-label": "Trace file", onchange: () => this.fromInput() });
    this.status = el("div", { role: "status", class: "tv-status" });
    this.body = el("div", { class: "tv-body" });
    root.replaceChildren(this.chosen, this.status, this.body);
    this.drawEmpty();
    document.addEventListener("keydown", (event) => this.onKey(event));
    for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => this.onDrag(event, true));
    for (const name of ["dragleave", "drop"]) document.addEventListener(name, (event) => this.onDrag(event, false));
    document.addEventListener("drop", (event) => this.onDrop(event));
  }

  // --- files ------------------------------------------------------------------------------------

  fromInput() {
    const [file] = this.chosen.files;
    if (file) this.open(file, file.name);
    this.chosen.value = "";
  }

  onDrag(event, isOver) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("tv-over", isOver);
  }

  onDrop(event) {
    const [file] = event.dataTransfer?.files ?? [];
    if (file) this.open(file, file.name);
  }

  async open(blob, name) {
    const reading = this.readings += 1;
    this.player?.pause();
    const bar = el("progress", { max: "100", value: "0", "aria-label": "How much has been read" });
    this.status.replaceChildren(el("p", { class: "notice" }, icon("file"), el("span", {}, `Reading ${oneLine(name, 80)} (${bytes(blob.size)}) `, bar)));
    try {
      const story = await readTrace(blob, (seen) => { bar.value = (100 * seen) / Math.max(blob.size, 1); });
      if (reading !== this.readings) return;
      this.show(story, blob, name);
    } catch (error) {
      if (reading !== this.readings) return;
      this.complain(error instanceof UnreadableError ? error.message : `The file could not be read: ${error.message}. Choose it again.`);
      if (!(error instanceof UnreadableError)) throw error;
    }
  }

  say(sentence) {
    this.status.replaceChildren(el("p", { class: "notice" }, icon("file"), el("span", { text: sentence })));
  }

  complain(sentence) {
    this.status.replaceChildren(el("p", { class: "notice error", role: "alert" }, icon("warning"), el("span", { text: sentence })));
  }

  show(story, blob, name) {
    Object.assign(this, { story, blob, name, selected: null, wanted: "", hidden: new Set() });
    this.player = new Player(story, () => this.refresh());
    this.views = { waterfall: new Waterfall(this), conversation: new Conversation(this), calls: new Calls(this), events: new Events(this) };
    this.detail = new Detail(this);
    this.status.replaceChildren(...this.notices());
    this.drawTrace();
    this.filter();
    this.turnTo("waterfall");
  }

  notices() {
    const { story } = this;
    const found = [];
    if (story.problemCount) {
      const rest = story.problemCount - story.problems.length;
      found.push(el("details", { class: "notice warning tv-problems" },
        el("summary", { text: `${count(story.problemCount)} line${story.problemCount === 1 ? "" : "s"} could not be read and ${story.problemCount === 1 ? "is" : "are"} left out` }),
        el("ul", {}, ...story.problems.map((each) => el("li", { text: `Line ${each.number} ${each.sentence}.` })), rest ? el("li", { text: `… and ${count(rest)} more.` }) : null)));
    }
    if (story.left) {
      found.push(el("p", { class: "notice warning" }, icon("warning"), el("span", { text: `The file has ${count(story.left)} events more than the ${count(story.events.length)} this page holds; they are left out. Split the file to see them.` })));
    }
    return found;
  }

  // --- what is drawn once a file ------------------------------------------------------------------

  drawEmpty() {
    const choose = el("button", { type: "button", class: "button default", onclick: () => this.chosen.click() }, icon("file"), el("span", { text: "Choose a file" }));
    this.body.replaceChildren(el("div", { class: "tv-drop" },
      icon("drop"), el("h2", { text: "Drop a trace here" }),
      el("p", { text: "An export of a run (JSON lines), a file of the earlier Agentry tool, or OTLP JSON." }), choose,
      el("p", { class: "tv-private" }, icon("lock"), el("span", { text: "The file is read in this page and never leaves your browser." }))));
  }

  drawTrace() {
    const { story } = this;
    const facts = [story.form, bytes(this.blob.size), clockTime(story.first)].filter(Boolean).join(" · ");
    const head = el("header", { class: "tv-head" },
      el("div", { class: "tv-file" }, icon("file"), el("div", {}, el("h2", { text: oneLine(this.name, 120) }), el("p", { class: "quiet", text: facts }))),
      el("p", { class: "tv-private" }, icon("lock"), el("span", { text: "Stays in your browser" })),
      el("button", { type: "button", class: "button", onclick: () => this.chosen.click() }, icon("file"), el("span", { text: "Open another" })));
    this.panels = el("div", { class: "tv-main" });
    this.body.replaceChildren(head, this.drawFigures(), this.drawPlayer(), this.drawFilters(), this.drawTabs(), el("div", { class: "tv-columns" }, this.panels, this.detail.element));
  }

  drawFigures() {
    const { story } = this;
    const failed = story.spans.filter((span) => span.state === "error").length;
    const figures = [
      ["Took", duration((story.last - story.first) / 1000)], ["Agents", count(story.agents.size)], ["Events", count(story.events.length)],
      ["Model calls", count(story.spans.filter((span) => span.type === "model").length)], ["Tool calls", count(story.spans.filter((span) => span.type === "tool").length)],
      ["Tokens", story.tokens ? count(story.tokens) : "not told"], ["Cost", story.cost === null ? "not told" : `$${Number(story.cost.toPrecision(6))}`], ["Failed", count(failed)],
    ];
    return el("dl", { class: "tv-figures card" }, ...figures.map(([name, value]) => el("div", { class: name === "Failed" && failed ? "is-bad" : "" }, el("dt", { text: name }), el("dd", { text: value }))));
  }

  drawPlayer() {
    const { player } = this;
    this.playButton = iconButton("play", "Play (space)", () => player.toggle(), { class: "quiet-button tv-play" });
    this.scrub = el("input", { type: "range", min: "0", max: String(SCRUB_STEPS), step: "1", "aria-label": "Time in the trace", class: "tv-scrub" });
    this.scrub.addEventListener("input", () => {
      player.pause();
      player.seek(this.story.first + ((this.story.last - this.story.first) * Number(this.scrub.value)) / SCRUB_STEPS);
    });
    this.speed = el("select", { "aria-label": "Speed", onchange: () => { player.speed = Number(this.speed.value); } },
      ...SPEEDS.map((each) => el("option", { value: String(each), text: each === 1 ? "1× real time" : `${each}×`, selected: each === 1 })));
    const idle = el("input", { type: "checkbox", checked: true, onchange: () => { player.skipsIdle = idle.checked; } });
    this.time = el("output", { class: "tv-time" });
    return el("div", { class: "tv-player card", role: "group", "aria-label": "Replay" },
      iconButton("first", "To the beginning (Home)", () => { player.pause(); player.seek(this.story.first); }),
      iconButton("back", "One event back (←)", () => player.step(-1)),
      this.playButton,
      iconButton("next", "One event on (→)", () => player.step(1)),
      iconButton("last", "To the end (End)", () => { player.pause(); player.seek(this.story.last); }),
      this.scrub, this.time, this.speed,
      el("label", { class: "tv-idle" }, idle, el("span", { text: "Shorten silences" })));
  }

  drawFilters() {
    this.search = el("input", { type: "search", placeholder: "Search titles, texts, arguments", "aria-label": "Search the trace", oninput: () => this.filterSoon() });
    this.found = el("span", { class: "quiet", role: "status" });
    const agents = [...this.story.agents.values()];
    const chips = agents.slice(0, 24).map((agent) => {
      const box = el("input", { type: "checkbox", checked: true, onchange: () => { if (box.checked) this.hidden.delete(agent.id); else this.hidden.add(agent.id); this.filter(); } });
      return el("label", { class: `tv-chip agent-${agent.index % 6}` }, box, el("span", { text: agentName(agent) }), el("span", { class: "quiet", text: count(agent.events) }));
    });
    const rest = agents.length - chips.length;
    return el("div", { class: "tv-filters" },
      el("div", { class: "tv-search" }, icon("search"), this.search), this.found,
      agents.length > 1 ? el("fieldset", { class: "tv-chips" }, el("legend", { class: "visually-hidden", text: "Agents" }), ...chips, rest > 0 ? el("span", { class: "quiet", text: `and ${count(rest)} more` }) : null) : null);
  }

  drawTabs() {
    this.tabs = TABS.map(([name, title]) => el("button", { type: "button", role: "tab", id: `tv-tab-${name}`, "aria-controls": `tv-${name}`, "data-tab": name, onclick: () => this.turnTo(name) }, title));
    const list = el("div", { class: "tabs", role: "tablist", "aria-label": "Views of the trace" }, ...this.tabs);
    list.addEventListener("keydown", (event) => {
      const at = this.tabs.indexOf(document.activeElement);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1 }[event.key];
      if (at === -1 || to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      const next = this.tabs[(to + this.tabs.length) % this.tabs.length];
      this.turnTo(next.dataset.tab);
      next.focus();
    });
    return list;
  }

  // --- what changes -------------------------------------------------------------------------------

  turnTo(name) {
    this.tab = name;
    if (this.selected && isNarrow()) this.select(null); // the sheet would lie on the view that was asked for
    for (const tab of this.tabs) {
      const isThis = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", String(isThis));
      tab.tabIndex = isThis ? 0 : -1;
    }
    this.panels.replaceChildren(el("div", { id: `tv-${name}`, role: "tabpanel", "aria-labelledby": `tv-tab-${name}` }, this.views[name].element));
    this.refresh();
  }

  // Waits for a pause in typing: a search looks at every text once.
  filterSoon() {
    clearTimeout(this.pending);
    this.pending = setTimeout(() => {
      this.wanted = this.search.value.trim().toLowerCase();
      this.filter();
    }, 120);
  }

  filter() {
    const { story, hidden, wanted } = this;
    const isHere = (agent) => !hidden.has(agent);
    const spans = story.spans.filter((span) => isHere(span.agent) && (!wanted || searchable(span).includes(wanted)));
    const talk = story.talk.filter((entry) => isHere(entry.agent) && (!wanted || talkText(entry).includes(wanted)));
    const events = story.events.filter((event) => isHere(event.agent) && (!wanted || `${event.kind} ${event.gist}`.toLowerCase().includes(wanted)));
    this.views.waterfall.show(spans);
    this.views.conversation.show(talk);
    this.views.calls.show(spans.filter((span) => span.type === "tool"));
    this.views.events.show(events);
    this.found.textContent = wanted ? `${count(spans.length)} spans, ${count(talk.length)} turns, ${count(events.length)} events` : "";
  }

  select(chosen) {
    this.selected = chosen;
    this.detail.show(chosen);
    this.refresh();
    if (chosen && isNarrow()) this.detail.element.focus();
  }

  refresh() {
    const { player, story } = this;
    if (!this.playButton) return;
    const whole = Math.max(story.last - story.first, 0.001);
    this.scrub.value = String(Math.round(((player.now - story.first) / whole) * SCRUB_STEPS));
    const told = `${duration((player.now - story.first) / 1000)} of ${duration(whole / 1000)}`;
    this.time.textContent = `${told} · event ${count(player.seen)} of ${count(story.events.length)}`;
    this.scrub.setAttribute("aria-valuetext", told);
    if (this.playButton.dataset.playing !== String(player.isPlaying)) {
      this.playButton.dataset.playing = String(player.isPlaying);
      this.playButton.replaceChildren(icon(player.isPlaying ? "pause" : "play"));
      this.playButton.setAttribute("aria-label", player.isPlaying ? "Pause (space)" : "Play (space)");
      this.playButton.title = this.playButton.getAttribute("aria-label");
    }
    this.views[this.tab]?.refresh();
  }

  onKey(event) {
    if (!this.player || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    const isField = target.closest?.("input:not([type=range]):not([type=checkbox]), select, textarea");
    if (isField || document.querySelector("dialog[open]")) return;
    const isButton = target.closest?.("button, summary, a, input[type=checkbox]");
    const deeds = {
      " ": isButton ? undefined : () => this.player.toggle(),
      ArrowRight: () => this.player.step(event.shiftKey ? 10 : 1),
      ArrowLeft: () => this.player.step(event.shiftKey ? -10 : -1),
      Home: () => { this.player.pause(); this.player.seek(this.story.first); },
      End: () => { this.player.pause(); this.player.seek(this.story.last); },
      "+": () => this.faster(1),
      "-": () => this.faster(-1),
      "/": () => this.search.focus(),
      Escape: this.selected ? () => this.select(null) : undefined,
    };
    const deed = Object.hasOwn(deeds, event.key) ? deeds[event.key] : undefined;
    if (!deed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    deed();
  }

  faster(step) {
    const at = SPEEDS.indexOf(this.player.speed) + step;
    if (at < 0 || at >= SPEEDS.length) return;
    this.player.speed = SPEEDS[at];
    this.speed.value = String(SPEEDS[at]);
  }
}

function isNarrow() {
  return matchMedia("(max-width: 1100px)").matches;
}

function searchable(span) {
  span.words ??= [span.title, ...span.facts.map(([, value]) => String(value ?? "")), ...span.parts.map((part) => wordsOf(part.value))].join(" ").toLowerCase();
  return span.words;
}

function talkText(entry) {
  const text = entry.pieces ? entry.pieces.map((piece) => piece.text).join("") : entry.text;
  return `${entry.title} ${text}`.toLowerCase();
}

// The words of a document, found without recursion and up to a bound.
function wordsOf(value) {
  const words = [];
  const pending = [value];
  let length = 0;
  while (pending.length && length < 20_000) {
    const next = pending.pop();
    if (next !== null && typeof next === "object") {
      for (const name of Object.keys(next).slice(0, 500)) {
        words.push(name);
        pending.push(next[name]);
      }
    } else {
      const word = String(next).slice(0, 20_000);
      words.push(word);
      length += word.length;
    }
  }
  return words.join(" ");
}
