// The time axis of the waterfall: which part of the time is in sight, its ruler, and the small map
// of all of it. Zoomed by wheel, keys and buttons; the end is followed while it is in sight.

import { duration, svg } from "./words.js";

const LEAST_MS = 5;
const MAP_MS = 500;
const MAP_MARGIN_PX = 4;
const TICKS_PX = 96; // about so far apart
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5, 1728e5, 6048e5];

export class Axis {
  constructor({ map, ruler, onMove }) {
    Object.assign(this, { map, ruler, onMove });
    this.begin = 0;
    this.end = 1;
    this.from = 0;
    this.to = 1;
    this.fits = true;
    this.listenMap();
    this.watchLook();
  }

  // Its colours are those of the page, its pixels those of its place.
  watchLook() {
    const again = () => this.items && this.drawMap(this.items, this.now);
    new ResizeObserver(() => {
      this.drawRuler();
      again();
    }).observe(this.map);
    new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  /** The whole time there is. While all of it is shown, or its end, what is shown grows with it. */
  setBounds(begin, end) {
    const [wasAtEnd, width] = [this.to >= this.end - 1, this.to - this.from];
    this.begin = begin;
    this.end = Math.max(end, begin + LEAST_MS);
    if (this.fits) [this.from, this.to] = [this.begin, this.end];
    else if (wasAtEnd) [this.from, this.to] = [this.end - width, this.end];
  }

  /** Where a time lies in what is shown: 0 at the left, 1 at the right. */
  share(at) {
    return (at - this.from) / (this.to - this.from);
  }

  fit() {
    this.fits = true;
    [this.from, this.to] = [this.begin, this.end];
    this.onMove();
  }

  zoom(factor, middle = 0.5) {
    const whole = this.end - this.begin;
    const width = Math.min(Math.max((this.to - this.from) * factor, LEAST_MS), whole);
    const at = this.from + (this.to - this.from) * middle;
    this.set(at - width * middle, width);
  }

  pan(shares) {
    const width = this.to - this.from;
    this.set(this.from + width * shares, width);
  }

  showSpan(from, to) {
    const width = Math.max((to - from) * 1.2, LEAST_MS);
    this.set((from + to) / 2 - width / 2, width);
  }

  set(from, width) {
    const left = Math.min(Math.max(from, this.begin), Math.max(this.end - width, this.begin));
    [this.from, this.to] = [left, Math.min(left + width, this.end)];
    this.fits = this.to - this.from >= (this.end - this.begin) * 0.999;
    this.onMove();
  }

  // --- hands ----------------------------------------------------------------------------------------

  /** Takes the wheel over `place`; `trackBox` says where its time axis lies. */
  listen(place, trackBox) {
    place.addEventListener("wheel", (event) => this.onWheel(event, trackBox(), event.ctrlKey || event.metaKey), { passive: false });
  }

  onWheel(event, box, zooms) {
    if (!box) return;
    const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!zooms && !isSideways) return;
    event.preventDefault();
    if (zooms) this.zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1));
    else this.pan((event.deltaX || event.deltaY) / box.width);
  }

  listenMap() {
    for (const place of [this.map, this.ruler]) {
      place.addEventListener("wheel", (event) => this.onWheel(event, place.getBoundingClientRect(), !event.shiftKey), { passive: false });
    }
    const timeAt = (event) => {
      const box = this.map.getBoundingClientRect();
      return this.begin + (this.end - this.begin) * Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    };
    let start = null;
    this.map.addEventListener("pointerdown", (event) => {
      start = timeAt(event);
      this.map.setPointerCapture(event.pointerId);
    });
    this.map.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const now = timeAt(event);
      const width = Math.abs(now - start);
      if (width > (this.end - this.begin) / 200) this.set(Math.min(start, now), Math.max(width, LEAST_MS));
    });
    this.map.addEventListener("pointerup", (event) => {
      const [now, width] = [timeAt(event), this.to - this.from];
      if (start !== null && Math.abs(now - start) <= (this.end - this.begin) / 200) this.set(now - width / 2, width);
      start = null;
    });
  }

  // --- drawing --------------------------------------------------------------------------------------

  /** `isUrgent`: somebody moved it. What only grows is drawn anew a few times a second at most. */
  draw(items, now, isUrgent = false) {
    Object.assign(this, { items, now });
    this.drawRuler();
    clearTimeout(this.later);
    const rest = (this.drawnAt ?? -Infinity) + MAP_MS - performance.now();
    if (isUrgent || rest <= 0) this.drawMap(items, now);
    else this.later = setTimeout(() => this.drawMap(this.items, this.now), rest);
  }

  drawRuler() {
    const width = this.ruler.clientWidth;
    if (!width) return;
    const span = this.to - this.from;
    const step = STEPS.find((size) => (size / span) * width >= TICKS_PX) ?? STEPS.at(-1);
    const ticks = [];
    const offset = this.from - this.begin;
    for (let at = Math.ceil(offset / step) * step; at <= offset + span; at += step) {
      const x = ((at - offset) / span) * width;
      ticks.push(svg("line", { x1: x, x2: x, y1: 14, y2: 22, class: "tick" }));
      if (x < width - 40) ticks.push(svg("text", { x: x + 4, y: 15, class: "tick-word" }, at ? duration(at) : "0"));
    }
    this.ruler.replaceChildren(...ticks);
  }

  drawMap(items, now) {
    const [width, height] = [this.map.clientWidth, this.map.clientHeight];
    if (!width) return;
    if (items.length) this.drawnAt = performance.now(); // the first that there are need not wait
    const ratio = devicePixelRatio || 1;
    if (this.map.width !== Math.round(width * ratio)) this.map.width = Math.round(width * ratio);
    if (this.map.height !== Math.round(height * ratio)) this.map.height = Math.round(height * ratio);
    const pen = this.map.getContext("2d");
    const style = getComputedStyle(this.map);
    const colour = (name) => style.getPropertyValue(name);
    const colours = { model: colour("--blue"), tool: colour("--violet"), wait: colour("--amber-fill"), agent: colour("--green") };
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const whole = this.end - this.begin;
    const room = height - 2 * MAP_MARGIN_PX;
    const line = Math.max(Math.min(room / Math.max(items.length, 1), 5), 1);
    items.forEach((item, index) => {
      const x = ((item.from - this.begin) / whole) * width;
      const reach = (((item.to ?? now) - item.from) / whole) * width;
      pen.fillStyle = item.isError ? colour("--red") : colours[item.kind] ?? colours.model;
      pen.fillRect(x, MAP_MARGIN_PX + (index / Math.max(items.length - 1, 1)) * (room - line), Math.max(reach, 1.5), line);
    });
    if (this.fits) return;
    const [left, right] = [((this.from - this.begin) / whole) * width, ((this.to - this.begin) / whole) * width];
    pen.fillStyle = colour("--canvas");
    pen.globalAlpha = 0.72;
    pen.fillRect(0, 0, left, height);
    pen.fillRect(right, 0, width - right, height);
    pen.globalAlpha = 1;
    pen.strokeStyle = colour("--accent");
    pen.strokeRect(left + 0.5, 0.5, Math.max(right - left - 1, 2), height - 1);
  }
}
