// A long list of rows of one height, of which only those in sight are elements.

import { el } from "./dom.js";

const BEYOND = 8;
const MOST_PIXELS = 8_000_000; // browsers lay out no taller element than some ten million

export class Rows {
  // `draw(row, index)` returns the element of one row; `height` is in pixels.
  constructor({ height, draw, label }) {
    this.height = height;
    this.draw = draw;
    this.rows = [];
    this.tall = el("div", { class: "tv-tall" });
    this.element = el("div", { class: "tv-rows", role: "list", tabindex: "0", "aria-label": label }, this.tall);
    this.element.addEventListener("scroll", () => this.later(), { passive: true });
    this.pending = 0;
    new ResizeObserver(() => this.later()).observe(this.element);
  }

  show(rows) {
    this.rows = rows.length * this.height > MOST_PIXELS ? rows.slice(0, Math.floor(MOST_PIXELS / this.height)) : rows;
    this.tall.style.height = `${this.rows.length * this.height}px`;
    this.refresh();
  }

  later() {
    this.pending ||= requestAnimationFrame(() => this.refresh());
  }

  refresh() {
    this.pending = 0;
    const top = this.element.scrollTop;
    const first = Math.max(Math.floor(top / this.height) - BEYOND, 0);
    const last = Math.min(Math.ceil((top + this.element.clientHeight) / this.height) + BEYOND, this.rows.length);
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset?.index : undefined;
    const drawn = [];
    for (let index = first; index < last; index += 1) {
      const row = this.draw(this.rows[index], index);
      row.setAttribute("role", "listitem");
      row.style.top = `${index * this.height}px`;
      row.style.height = `${this.height}px`;
      drawn.push(row);
    }
    this.tall.replaceChildren(...drawn);
    if (focused !== undefined) this.tall.querySelector(`[data-index="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  reveal(index) {
    const top = index * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
    this.later();
  }
}
