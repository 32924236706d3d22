// The waterfall: what a run did along the time. Rows are a list that can be read and walked; bars
// are drawn from the same items. A small map above shows all of it, and which part is in sight.

import { goTo } from "./run_conversation.js";
import { showCall } from "./run_calls.js";
import { showEvent } from "./run_events.js";
import { addressOf } from "./run_live.js";
import { Rows } from "./run_rows.js";
import { onShow, shownPanel } from "./run_tabs.js";
import { Axis } from "./run_axis.js";
import { Trail } from "./run_trail.js";
import { count, duration, element, icon, money } from "./words.js";
import { gettext } from "./translated.js";

const WIDE_ROW_PX = 30;
const NARROW_ROW_PX = 46;
const TICK_MS = 250; // how often open bars grow
const CHILD_RELOAD_MS = 2_000;
const narrow = matchMedia("(max-width: 720px)");
const place = document.getElementById("timeline-rows");
const card = place.closest(".waterfall-card");
const detail = document.getElementById("timeline-detail");
const search = document.getElementById("timeline-search");
const told = document.getElementById("timeline-told");

let trail;
let axis;
let rows;
let view = "spans";
const kinds = new Set(["model", "tool", "wait", "agent"]);
const opened = new Map(); // child runs shown with their own steps

// --- what there is to show ---------------------------------------------------------------------------

function agentRow(child, depth) {
  return {
    kind: "agent", key: `a${child.id}`, title: child.agent, child, depth, state: child.state, wait: child.wait,
    from: child.created, to: child.finished, isError: child.state === "failed",
    segments: child.started && child.started > child.created
      ? [{ state: "queued", from: child.created, to: child.started }, { state: child.state, from: child.started, to: child.finished }]
      : [{ state: child.state, from: child.created, to: child.finished }],
  };
}

function listOf(source, depth, found) {
  const placed = new Set();
  for (const span of source.spans) {
    found.push(depth ? { ...span, key: `${source.run?.created}${span.key}`, depth, foreign: source } : span);
    const child = span.call && source.children.get(span.call);
    if (child) {
      placed.add(child.id);
      addChild(child, depth + 1, found);
    }
  }
  for (const child of source.children.values()) if (!placed.has(child.id)) addChild(child, depth + 1, found);
  return found;
}

function addChild(child, depth, found) {
  found.push(agentRow(child, depth));
  const inner = opened.get(child.id);
  if (inner) listOf(inner, depth + 1, found);
}

function inFlight() {
  if (!trail.isLive || trail.run?.state !== "running" || trail.run.wait) return [];
  const isBusy = trail.spans.slice(-40).some((span) => span.kind === "tool" && span.to === null && span.state !== "waiting");
  const last = trail.marks.at(-1);
  if (isBusy || !last) return [];
  return [{ kind: "model", key: "now", title: "asking the model", from: last.at, to: null, isOpen: true }];
}

function isWanted(item, word) {
  if (!kinds.has(item.kind)) return false;
  return !word || `${item.title} ${item.state ?? ""} ${item.mark?.gist ?? ""}`.toLowerCase().includes(word);
}

function items() {
  const word = search.value.trim().toLowerCase();
  if (view === "events") {
    const marks = word ? trail.marks.filter((mark) => `${mark.kind} ${mark.gist ?? ""} ${mark.tool ?? ""}`.toLowerCase().includes(word)) : trail.marks;
    return marks.map((mark) => ({ kind: "event", key: `e${mark.n}`, mark, from: mark.at, to: mark.at }));
  }
  const whole = { kind: "agent", key: "whole", title: "this run", from: trail.begin, to: trail.isLive ? null : trail.end, segments: trail.phases, state: trail.run?.state };
  const found = listOf(trail, 0, kinds.has("agent") && !word ? [whole] : []);
  return [...found, ...inFlight()].filter((item) => item === whole || isWanted(item, word));
}

function refresh(cause) {
  if (shownPanel() !== "timeline") return;
  card.hidden = !trail.run; // before anything is known there is no time to draw along
  const list = trail.run ? items() : [];
  axis.setBounds(trail.begin, trail.end);
  axis.draw(list.filter((item) => item.key !== "whole"), trail.now(), cause !== trail);
  place.hidden = !list.length;
  rows.show(list, { follows: trail.isLive });
  place.dataset.head = String(trail.after);
  place.dataset.ended = String(trail.ended);
  const parts = [];
  if (trail.refused) parts.push(trail.refused);
  if (trail.dropped) parts.push(`The first ${count(trail.dropped)} events are not kept here; export the trace for all of them.`);
  if (!list.length && trail.isWhole) parts.push(search.value ? gettext("Nothing is called that.") : gettext("Nothing has happened yet."));
  if (!trail.isWhole && !trail.refused) parts.push(gettext("Reading the trace…"));
  const words = parts.join(" ");
  if (told.textContent !== words) told.textContent = words;
}

// --- a row -------------------------------------------------------------------------------------------

function figures(item) {
  const mark = item.mark;
  const parts = [];
  if (item.kind === "model" && mark?.tokens_in !== undefined) parts.push(`${count((mark.tokens_in ?? 0) + (mark.tokens_out ?? 0))} tokens`);
  if (item.kind === "tool" && item.state !== "committed") parts.push(item.state.replaceAll("_", " "));
  if (item.child) parts.push(item.wait ? `${item.state} · ${item.wait}` : item.state);
  if (item.key === "whole") parts.push(item.state);
  parts.push(item.to === null ? `${duration(trail.now() - item.from)} so far` : duration(item.to - item.from));
  return parts.join(" · ");
}

const ICONS = { model: "spark", tool: "calls", wait: "pause", agent: "agents" };

// What a row looks like, to a thousandth of the axis: most rows stay as they are while others grow.
function look(item, pieces, words) {
  const places = pieces.map((piece) => [piece.state, ...[piece.from, piece.to ?? trail.now()].map((at) => Math.round(Math.min(Math.max(axis.share(at), -1), 2) * 1000))]);
  return [view, item.title, words, item.isError, item.depth, item.child && opened.has(item.child.id), places].join();
}

function drawSpan(button, item) {
  const pieces = item.segments?.length ? item.segments : [{ state: item.state ?? "", from: item.from, to: item.to }];
  const words = figures(item);
  const now = look(item, pieces, words);
  if (button.look === now) return;
  button.look = now;
  const [left, right] = [axis.share(item.from), axis.share(item.to ?? trail.now())];
  const label = element("span", "row-label");
  label.style.setProperty("--depth", String(item.depth ?? 0));
  if (item.child) label.append(element("span", "row-toggle", opened.has(item.child.id) ? "▾" : "▸"));
  label.append(icon(ICONS[item.kind]), element("span", "row-title", item.title), element("span", "row-figures", words));
  const track = element("span", "row-track");
  if (right >= 0 && left <= 1) {
    for (const piece of pieces) track.append(bar(item, piece));
  } else {
    track.append(element("span", `row-beyond ${right < 0 ? "is-left" : "is-right"}`, right < 0 ? "◂" : "▸"));
  }
  button.className = `row-button is-${item.kind}${item.isError ? " is-error" : ""}${item.child && opened.has(item.child.id) ? " is-opened" : ""}`;
  button.setAttribute("aria-label", sentence(item));
  if (item.child) button.setAttribute("aria-expanded", String(opened.has(item.child.id)));
  else button.removeAttribute("aria-expanded");
  button.replaceChildren(label, track);
}

function bar(item, piece) {
  const [from, to] = [axis.share(piece.from), axis.share(piece.to ?? trail.now())];
  const made = element("span", `bar is-${item.kind} state-${piece.state || "done"}${piece.to === null ? " is-open" : ""}`);
  const [left, right] = [Math.max(from, -0.01), Math.min(to, 1.01)];
  made.style.left = `${left * 100}%`;
  made.style.width = `${Math.max(right - left, 0) * 100}%`;
  return made;
}

function drawEvent(button, item) {
  const label = element("span", "event-line");
  label.append(
    element("span", "event-after", `+${duration(Math.max(item.mark.at - trail.begin, 0))}`),
    element("code", "event-kind", item.mark.kind),
    element("span", "event-gist", item.mark.gist ?? [item.mark.tool, item.mark.state].filter(Boolean).join(" ")),
  );
  button.className = `row-button is-event is-${item.mark.kind.split(".")[0]}`;
  button.removeAttribute("aria-label");
  button.replaceChildren(label);
}

function sentence(item) {
  const words = { model: gettext("Model call"), tool: gettext("Tool call"), wait: gettext("Wait"), agent: gettext("Run") }[item.kind];
  const after = duration(Math.max(item.from - trail.begin, 0));
  const level = item.depth ? `, level ${item.depth + 1}` : "";
  return `${words} ${item.title}, ${figures(item)}, begins after ${after}${level}`;
}

// --- what a chosen row says --------------------------------------------------------------------------

function choose(item) {
  if (view === "events" || !item) return;
  const parts = [
    element("strong", "", item.title),
    element("span", "", item.to === null ? `since ${duration(trail.now() - item.from)}` : duration(item.to - item.from)),
    element("span", "quiet", `begins +${duration(Math.max(item.from - trail.begin, 0))}`),
  ];
  const mark = item.mark;
  if (item.kind === "model" && mark?.step !== undefined) {
    const cached = mark.tokens_cached ? `, ${count(mark.tokens_cached)} from cache` : "";
    parts.push(element("span", "", `${count(mark.tokens_in ?? 0)} tokens in${cached}, ${count(mark.tokens_out ?? 0)} out`));
    parts.push(element("span", "", mark.cost === undefined || mark.cost === null ? "price unknown" : money(Number(mark.cost))));
  }
  if (item.kind === "tool") parts.push(element("span", "", `${item.state.replaceAll("_", " ")}${item.wait ? `, waits for ${item.wait}` : ""}${item.attempt > 1 ? `, attempt ${item.attempt}` : ""}`));
  if (item.child) parts.push(element("span", "", `${item.child.steps} model calls, ${count(item.child.tokens)} tokens, ${item.child.is_floor ? "≥ " : ""}${money(Number(item.child.cost))}`));
  if (mark?.gist) parts.push(element("span", "detail-gist", mark.gist));
  parts.push(element("span", "detail-hint quiet", hint(item)));
  detail.replaceChildren(...parts);
}

function hint(item) {
  if (item.child) return gettext("Enter opens its page, space shows its steps here");
  if (item.foreign) return gettext("Enter opens the run it belongs to");
  if (item.kind === "model" && item.mark) return gettext("Enter leads to the message");
  if (item.kind === "tool") return gettext("Enter leads to the call");
  return "";
}

async function open(item, event) {
  if (view === "events") return showEvent(item.mark, addressOf(`events/${item.mark.n}/`), detail);
  if (item.child) {
    const isToggle = event?.target.closest(".row-toggle");
    if (isToggle) toggleChild(item.child);
    else location.href = addressOf("change/", item.child.id);
  } else if (item.foreign) {
    location.href = item.foreign.url.replace(/events\/$/, item.call ? "change/#show=calls" : "change/");
  } else if (item.kind === "tool") {
    showCall(item.call);
  } else if (item.kind === "model" && item.mark?.position >= 0) {
    goTo(item.mark.position);
  } else if (item.kind === "wait") {
    document.getElementById("run-why").scrollIntoView({ block: "nearest" });
  }
}

function toggleChild(child) {
  if (opened.has(child.id)) {
    opened.delete(child.id);
    refresh();
    return;
  }
  const inner = new Trail(addressOf("events/", child.id));
  opened.set(child.id, inner);
  inner.onChange(refresh);
  inner.load();
  const again = setInterval(() => {
    if (opened.get(child.id) !== inner) clearInterval(again);
    else if (!inner.isLive) clearInterval(again);
    else if (shownPanel() === "timeline") inner.load();
  }, CHILD_RELOAD_MS);
}

function onKey(event, item) {
  const deeds = {
    "+": () => axis.zoom(0.5),
    "=": () => axis.zoom(0.5),
    "-": () => axis.zoom(2),
    0: () => axis.fit(),
    ArrowLeft: () => axis.pan(-0.2),
    ArrowRight: () => axis.pan(0.2),
    z: () => item && axis.showSpan(item.from, item.to ?? trail.now()),
    " ": () => item?.child && toggleChild(item.child),
  };
  if (!Object.hasOwn(deeds, event.key) || (event.key === " " && !item?.child)) return false;
  deeds[event.key]();
  return true;
}

// --- starting ----------------------------------------------------------------------------------------

function setView(next) {
  view = next;
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === view));
  document.querySelector("[data-kinds]").hidden = view === "events";
  document.getElementById("waterfall").classList.toggle("shows-events", view === "events");
  detail.replaceChildren();
  place.setAttribute("aria-label", view === "events" ? gettext("Events of the run") : gettext("Steps of the run along the time"));
  rows.nodes.forEach((node) => node.remove());
  rows.nodes.clear();
  rows.draw = view === "events" ? drawEvent : drawSpan;
  setHeights();
  refresh();
}

function setHeights() {
  rows.setRowHeight(narrow.matches ? NARROW_ROW_PX : WIDE_ROW_PX);
}

export function startTimeline(given) {
  trail = given;
  axis = new Axis({ map: document.getElementById("minimap"), ruler: document.getElementById("axis"), onMove: refresh });
  rows = new Rows(place, { rowHeight: WIDE_ROW_PX, draw: drawSpan, open, choose, keys: onKey });
  axis.listen(place, () => place.querySelector(".row-track")?.getBoundingClientRect());
  narrow.addEventListener("change", setHeights);
  setHeights();
  search.addEventListener("input", refresh);
  document.getElementById("waterfall").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { view: wanted, kind, zoom } = button.dataset;
    if (wanted) setView(wanted);
    if (zoom) ({ in: () => axis.zoom(0.5), out: () => axis.zoom(2), fit: () => axis.fit() })[zoom]();
    if (kind) {
      kinds.has(kind) ? kinds.delete(kind) : kinds.add(kind);
      button.setAttribute("aria-pressed", String(kinds.has(kind)));
      refresh();
    }
  });
  trail.onChange(refresh);
  onShow("timeline", () => {
    trail.load();
    refresh();
  });
  setInterval(() => {
    if (trail.isLive && trail.run && shownPanel() === "timeline" && !document.hidden && view === "spans") refresh(trail);
  }, TICK_MS);
}
