// The waterfall: a row for each span, in order of beginning, on a time axis that zooms.

import { el, icon, iconButton } from "./dom.js";
import { Rows } from "./rows.js";
import { clockTime, duration } from "./text.js";

const ROW = 30;
const MOST_ZOOM = 100_000;
const NICE = [1, 2, 5];

export class Waterfall {
  constructor(viewer) {
    this.viewer = viewer;
    this.zoom = 1;
    this.from = 0; // where the axis begins, as a share of the whole
    this.axis = el("div", { class: "tv-axis", "aria-hidden": "true" });
    this.line = el("div", { class: "tv-now", "aria-hidden": "true" });
    this.rows = new Rows({ height: ROW, draw: (span, index) => this.draw(span, index), label: "Spans on a time axis" });
    const tools = el("div", { class: "tv-zoom" },
      iconButton("minus", "Zoom out", () => this.zoomBy(0.5)),
      iconButton("plus", "Zoom in", () => this.zoomBy(2)),
      iconButton("fit", "Show all of the time", () => this.zoomBy(0)));
    this.element = el("div", { class: "tv-waterfall card" },
      el("div", { class: "tv-waterfall-head" }, tools, el("div", { class: "tv-axis-box" }, this.axis)),
      this.rows.element);
    this.element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
  }

  get span() {
    const { story } = this.viewer;
    return Math.max(story.last - story.first, 0.001);
  }

  show(spans) {
    this.rows.show(spans);
    this.drawAxis();
  }

  refresh() {
    this.rows.refresh();
    this.drawAxis();
  }

  zoomBy(factor, around = 0.5) {
    const before = this.zoom;
    this.zoom = factor === 0 ? 1 : Math.min(Math.max(this.zoom * factor, 1), MOST_ZOOM);
    const centre = this.from + around / before;
    this.from = clamp(centre - around / this.zoom, 0, 1 - 1 / this.zoom);
    this.refresh();
  }

  onWheel(event) {
    if (event.ctrlKey) {
      event.preventDefault();
      const box = this.axis.getBoundingClientRect();
      const around = clamp((event.clientX - box.left) / box.width, 0, 1);
      this.zoomBy(event.deltaY < 0 ? 1.3 : 1 / 1.3, around);
    } else if (this.zoom > 1 && Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.pan(event.deltaX / 800);
    }
  }

  pan(share) {
    this.from = clamp(this.from + share / this.zoom, 0, 1 - 1 / this.zoom);
    this.refresh();
  }

  // Where a time lies on the part of the axis in sight, in per cent.
  place(at) {
    return (((at - this.viewer.story.first) / this.span) - this.from) * this.zoom * 100;
  }

  draw(span, index) {
    const { player, story } = this.viewer;
    const isAhead = span.begin > player.now;
    const ended = span.end ?? story.last;
    const until = Math.min(ended, player.now);
    const isOpen = span.end === null || span.end > player.now;
    const left = clamp(this.place(span.begin), 0, 100);
    const right = clamp(this.place(isAhead ? span.begin : until), 0, 100);
    const bar = el("span", { class: `tv-bar is-${span.type}${isOpen && !isAhead ? " is-open" : ""}${!isOpen && span.state === "error" ? " is-error" : ""}` });
    bar.style.left = `${left}%`;
    bar.style.width = `${Math.max(right - left, 0)}%`;
    const agent = story.agents.get(span.agent);
    const took = isAhead ? "" : isOpen ? "…" : duration((span.end - span.begin) / 1000);
    const button = el("button", {
      type: "button", class: `tv-span${isAhead ? " is-ahead" : ""}${this.viewer.selected === span ? " is-selected" : ""}`,
      "data-index": index, "data-span": span.id, title: `${span.title} · ${duration(((span.end ?? story.last) - span.begin) / 1000)}`,
      onclick: () => this.viewer.select(span),
    },
    el("span", { class: `tv-label agent-${agent.index % 6}` }, icon(span.type), el("span", { class: "tv-title", text: span.title }), el("span", { class: "tv-took", text: took })),
    el("span", { class: "tv-lane" }, bar));
    return el("div", { class: "tv-row" }, button);
  }

  drawAxis() {
    const { story, player } = this.viewer;
    const seen = this.span / this.zoom / 1000;
    const step = niceStep(seen / Math.max(Math.floor((this.axis.clientWidth || 600) / 110), 2));
    const begin = (this.from * this.span) / 1000;
    const ticks = [];
    for (let at = Math.ceil(begin / step) * step; at <= begin + seen + step / 1000; at += step) {
      const place = this.place(story.first + at * 1000);
      const tick = el("span", { class: "tv-tick", text: place > 92 ? "" : at === 0 ? "0" : duration(at) });
      tick.style.left = `${place}%`;
      ticks.push(tick);
      if (ticks.length > 40) break;
    }
    const now = this.place(player.now);
    this.line.style.left = `${now}%`;
    this.line.hidden = now < 0 || now > 100;
    this.axis.title = clockTime(story.first);
    this.axis.replaceChildren(...ticks, this.line);
  }
}

function niceStep(seconds) {
  const power = 10 ** Math.floor(Math.log10(seconds));
  return power * (NICE.find((each) => each * power >= seconds) ?? 10);
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
