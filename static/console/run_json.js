// JSON to look into: opened and closed by level, searched, copied. Big values come shortened from
// the server and are fetched whole when somebody asks for one.

import { ask } from "./run_live.js";
import { count, element, icon } from "./words.js";
import { gettext } from "./translated.js";

const OPEN_MEMBERS = 12; // a level with no more members is open at first
const MAX_HITS = 200;
let views = 0;

function escapePointer(name) {
  return String(name).replaceAll("~", "~0").replaceAll("/", "~1");
}

function isBranch(value) {
  return value !== null && typeof value === "object";
}

function members(value) {
  return Array.isArray(value) ? value.map((item, index) => [String(index), item]) : Object.entries(value);
}

/**
 * Returns an element that shows `value`. `cut` names by pointer what was shortened, below `root`;
 * `url` answers with the whole of a pointer.
 */
export function jsonView(value, { label, cut = {}, root = "", url = "" }) {
  const view = new JsonView(value, { label, cut, root, url });
  return view.place;
}

class JsonView {
  constructor(value, given) {
    Object.assign(this, given, { value });
    this.place = element("div", "json");
    this.tree = element("div", "json-tree");
    this.hits = new Set();
    this.above = new Set();
    this.place.append(this.bar(), this.tree);
    this.draw();
  }

  bar() {
    const bar = element("div", "json-bar");
    const field = element("input");
    views += 1;
    Object.assign(field, { type: "search", placeholder: gettext("Find"), autocomplete: "off", id: `json-${views}` });
    field.setAttribute("aria-label", gettext("Find in %(what)s", { what: this.label }));
    field.addEventListener("input", () => this.search(field.value.trim().toLowerCase()));
    this.told = element("span", "quiet");
    this.told.setAttribute("role", "status");
    const copy = element("button", "button small");
    copy.type = "button";
    const word = element("span", "", gettext("Copy"));
    copy.append(icon("copy"), word);
    copy.addEventListener("click", async () => {
      const whole = Object.keys(this.cut).length && this.url ? await this.whole(this.root) : this.value;
      await navigator.clipboard.writeText(typeof whole === "string" ? whole : JSON.stringify(whole, null, 2));
      word.textContent = gettext("Copied");
    });
    bar.append(element("h3", "", this.label));
    if (isBranch(this.value)) bar.append(field, this.told);
    bar.append(copy);
    return bar;
  }

  draw() {
    this.tree.replaceChildren(this.node(null, this.value, this.root, 0));
  }

  node(name, value, pointer, level) {
    if (isBranch(value)) return this.branch(name, value, pointer, level);
    const line = element("div", "json-line");
    if (this.hits.has(pointer)) line.classList.add("is-hit");
    if (name !== null) line.append(element("span", "json-name", name));
    line.append(this.scalar(value, pointer));
    return line;
  }

  scalar(value, pointer) {
    const kind = value === null ? "null" : typeof value;
    const isLong = kind === "string" && (value.length > 80 || value.includes("\n"));
    const shown = element(isLong ? "pre" : "span", `json-value is-${kind}${isLong ? " is-long" : ""}`, kind === "string" ? value : JSON.stringify(value));
    if (!Object.hasOwn(this.cut, pointer)) return shown;
    const both = element("div", "json-cut");
    both.append(shown, this.more(pointer, gettext("Show all %(n)s characters", { n: count(this.cut[pointer]) }), (whole) => { shown.textContent = whole; }));
    return both;
  }

  branch(name, value, pointer, level) {
    const list = members(value);
    const fold = element("details", "json-branch");
    const size = Array.isArray(value) ? `[${list.length}]` : `{${list.length}}`;
    const title = fold.appendChild(element("summary"));
    if (this.hits.has(pointer)) fold.classList.add("is-hit");
    if (name !== null) title.append(element("span", "json-name", name));
    title.append(element("span", "json-size", size));
    let isFilled = false;
    const fill = () => {
      if (isFilled || !fold.open) return;
      isFilled = true;
      for (const [key, item] of list) fold.append(this.node(key, item, `${pointer}/${escapePointer(key)}`, level + 1));
      if (Object.hasOwn(this.cut, pointer)) {
        fold.append(this.more(pointer, gettext("Show all %(n)s members", { n: count(this.cut[pointer]) }), (whole) => {
          fold.replaceWith(this.branch(name, whole, pointer, level));
        }));
      }
    };
    fold.addEventListener("toggle", fill);
    fold.open = this.above.has(pointer) || level === 0 || (level < 3 && list.length <= OPEN_MEMBERS);
    fill();
    return fold;
  }

  more(pointer, words, take) {
    const button = element("button", "button small json-more", words);
    button.type = "button";
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const whole = await this.whole(pointer);
        const { [pointer]: _, ...rest } = this.cut;
        this.cut = rest;
        take(whole);
        button.remove();
      } catch (error) {
        button.disabled = false;
        button.textContent = error.message;
      }
    });
    return button;
  }

  async whole(pointer) {
    return (await (await ask(`${this.url}?pointer=${encodeURIComponent(pointer)}`)).json()).value;
  }

  search(word) {
    this.hits = new Set();
    this.above = new Set();
    if (word) this.find(null, this.value, this.root, [], word);
    this.told.textContent = word ? gettext("%(n)s found", { n: `${this.hits.size}${this.hits.size >= MAX_HITS ? "+" : ""}` }) : "";
    this.draw();
    this.tree.querySelector(".is-hit")?.scrollIntoView({ block: "nearest" });
  }

  find(name, value, pointer, path, word) {
    if (this.hits.size >= MAX_HITS) return;
    const isNamed = name !== null && name.toLowerCase().includes(word);
    if (isNamed || (!isBranch(value) && String(value).toLowerCase().includes(word))) {
      this.hits.add(pointer);
      for (const above of path) this.above.add(above);
    }
    if (!isBranch(value)) return;
    for (const [key, item] of members(value)) this.find(key, item, `${pointer}/${escapePointer(key)}`, [...path, pointer], word);
  }
}

/** Returns lines of a difference: [sign, kind, text] each. */
export function differenceView(lines, label) {
  const block = element("pre", "difference");
  block.tabIndex = 0;
  block.setAttribute("role", "region");
  block.setAttribute("aria-label", label);
  for (const [sign, kind, text] of lines) {
    const line = element("span", `line is-${kind}`);
    const isPlace = kind === "place";
    line.append(element("span", "sign", isPlace ? "" : sign), `${isPlace ? sign : ""}${text}\n`);
    block.append(line);
  }
  return block;
}
