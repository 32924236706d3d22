// A long list of which only what is in sight is in the page. Each row is a button in a list item;
// one of them can be reached with Tab, the others with the arrows.

const SPARE_ROWS = 6;

export class Rows {
  /** `draw(node, item, index)` fills a row's button; `open(item, event)` is what Enter does. */
  constructor(place, { rowHeight, draw, open, choose = () => {}, keys = () => false, head = 0 }) {
    Object.assign(this, { place, rowHeight, draw, open, choose, keys, head });
    this.items = [];
    this.nodes = new Map();
    this.at = -1;
    this.atKey = null;
    this.room = place.appendChild(document.createElement("div"));
    this.room.className = "rows-room";
    this.room.setAttribute("role", "presentation");
    place.addEventListener("scroll", () => this.drawSoon(), { passive: true });
    place.addEventListener("keydown", (event) => this.onKey(event));
    place.addEventListener("click", (event) => this.onClick(event));
    place.addEventListener("focusin", (event) => this.onPoint(event, true));
    place.addEventListener("pointerover", (event) => this.onPoint(event, false));
    new ResizeObserver(() => this.drawSoon()).observe(place);
  }

  setRowHeight(pixels) {
    if (this.rowHeight === pixels) return;
    this.rowHeight = pixels;
    this.show(this.items);
  }

  /** Shows these items; a reader at the end of the list stays there. */
  show(items, { follows = false } = {}) {
    const wasAtEnd = this.place.scrollTop + this.place.clientHeight >= this.items.length * this.rowHeight - this.rowHeight;
    const grew = items.length > this.items.length;
    this.items = items;
    this.room.style.height = `${items.length * this.rowHeight}px`;
    if (this.atKey !== null) this.at = items.findIndex((item) => item.key === this.atKey);
    this.isDirty = true;
    if (follows && wasAtEnd && grew) this.place.scrollTop = items.length * this.rowHeight;
    this.drawSoon();
  }

  redraw() {
    this.isDirty = true;
    this.drawSoon();
  }

  drawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.drawNow();
    });
  }

  drawNow() {
    const height = this.place.clientHeight;
    if (!height) return; // not in sight
    const top = Math.max(Math.floor(this.place.scrollTop / this.rowHeight) - SPARE_ROWS, 0);
    const bottom = Math.min(Math.ceil((this.place.scrollTop + height) / this.rowHeight) + SPARE_ROWS, this.items.length);
    const wanted = new Map();
    for (let index = top; index < bottom; index += 1) wanted.set(this.items[index].key, index);
    for (const [key, node] of this.nodes) {
      if (wanted.has(key) || node.contains(document.activeElement)) continue;
      node.remove();
      this.nodes.delete(key);
    }
    let before = null;
    for (const [key, index] of wanted) {
      const isNew = !this.nodes.has(key);
      const node = isNew ? this.makeRow(key) : this.nodes.get(key);
      this.putRow(node, index, isNew);
      if (isNew) before ? before.after(node) : this.room.prepend(node);
      before = node;
    }
    this.isDirty = false;
  }

  makeRow(key) {
    const node = document.createElement("div");
    node.className = "row";
    node.setAttribute("role", "listitem");
    node.dataset.key = key;
    const button = node.appendChild(document.createElement("button"));
    button.type = "button";
    button.className = "row-button";
    this.nodes.set(key, node);
    return node;
  }

  putRow(node, index, isNew) {
    const moved = node.index !== index || node.pixels !== this.rowHeight;
    if (moved) {
      node.index = index;
      node.pixels = this.rowHeight;
      node.style.transform = `translateY(${index * this.rowHeight}px)`;
      node.style.height = `${this.rowHeight}px`;
      node.setAttribute("aria-posinset", String(index + 1));
    }
    node.setAttribute("aria-setsize", String(this.items.length));
    const button = node.firstChild;
    button.tabIndex = index === Math.max(this.at, 0) ? 0 : -1;
    node.classList.toggle("is-at", index === this.at);
    if (isNew || moved || this.isDirty) this.draw(button, this.items[index], index);
  }

  moveTo(index, { focus = true } = {}) {
    if (!this.items.length) return;
    this.at = Math.min(Math.max(index, 0), this.items.length - 1);
    this.atKey = this.items[this.at].key;
    const [top, height] = [this.at * this.rowHeight, this.place.clientHeight];
    if (top < this.place.scrollTop) this.place.scrollTop = top;
    if (top + this.rowHeight > this.place.scrollTop + height) this.place.scrollTop = top + this.rowHeight - height;
    this.drawNow();
    for (const node of this.nodes.values()) this.putRow(node, node.index, false);
    if (focus) this.nodes.get(this.atKey)?.firstChild.focus({ preventScroll: true });
    this.choose(this.items[this.at]);
  }

  itemOf(event) {
    const node = event.target.closest(".row");
    return node ? this.items[node.index] : undefined;
  }

  onClick(event) {
    const item = this.itemOf(event);
    if (!item) return;
    this.moveTo(event.target.closest(".row").index);
    this.open(item, event);
  }

  onPoint(event, isFocus) {
    const item = this.itemOf(event);
    if (!item) return;
    if (isFocus) {
      this.at = event.target.closest(".row").index;
      this.atKey = item.key;
      for (const node of this.nodes.values()) this.putRow(node, node.index, false);
    }
    this.choose(item);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(Math.floor(this.place.clientHeight / this.rowHeight) - 1, 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (Object.hasOwn(steps, event.key)) this.moveTo(Math.max(this.at, 0) + steps[event.key]);
    else if (event.key === "Home") this.moveTo(0);
    else if (event.key === "End") this.moveTo(this.items.length - 1);
    else if (!this.keys(event, this.items[Math.max(this.at, 0)])) return;
    event.preventDefault();
    event.stopPropagation();
  }
}
