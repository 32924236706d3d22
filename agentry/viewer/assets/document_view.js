// A JSON document as a tree that opens a level at a time: nesting and size cost only what is open.

import { el } from "./dom.js";
import { oneLine, plain } from "./text.js";

const SHOWN_MEMBERS = 100;
const OPEN_DEPTH = 2;
const FOLD_CHARACTERS = 2_000;

export function documentView(value) {
  if (value === null || typeof value !== "object") return textView(value);
  return el("div", { class: "tv-tree" }, branch("", value, 0));
}

export function textView(value) {
  const text = plain(value);
  const shown = el("pre", { class: "tv-text", text: text.slice(0, FOLD_CHARACTERS) });
  if (text.length <= FOLD_CHARACTERS) return shown;
  const more = el("button", { type: "button", class: "button small", text: `Show all ${text.length.toLocaleString("en")} characters` });
  more.addEventListener("click", () => {
    shown.textContent = text;
    more.remove();
  });
  return el("div", {}, shown, more);
}

function branch(name, value, depth) {
  const isList = Array.isArray(value);
  const names = isList ? null : Object.keys(value);
  const size = isList ? value.length : names.length;
  const told = isList ? `list of ${size}` : `${size} member${size === 1 ? "" : "s"}`;
  const fold = el("details", { open: depth < OPEN_DEPTH && size <= SHOWN_MEMBERS },
    el("summary", {}, nameOf(name), el("span", { class: "quiet", text: told })));
  let shown = 0;
  const list = el("div", { class: "tv-members" });
  const more = () => {
    const until = Math.min(shown + SHOWN_MEMBERS, size);
    for (; shown < until; shown += 1) {
      const member = isList ? String(shown) : names[shown];
      list.append(leafOrBranch(member, value[isList ? shown : member], depth + 1));
    }
    button.hidden = shown >= size;
    button.textContent = `Show more (${(size - shown).toLocaleString("en")} left)`;
  };
  const button = el("button", { type: "button", class: "button small", onclick: more });
  fold.append(list, button);
  if (fold.open) more();
  else fold.addEventListener("toggle", more, { once: true });
  return fold;
}

function leafOrBranch(name, value, depth) {
  if (value !== null && typeof value === "object") return branch(name, value, depth);
  const kind = value === null ? "null" : typeof value;
  const isLong = kind === "string" && (value.length > 160 || value.includes("\n"));
  if (isLong) {
    return el("div", { class: "tv-leaf is-long" }, nameOf(name), textView(value));
  }
  const text = kind === "string" ? plain(value) : String(value);
  return el("div", { class: "tv-leaf" }, nameOf(name), el("code", { class: `tv-value is-${kind}`, text }));
}

function nameOf(name) {
  return name === "" ? null : el("span", { class: "tv-name", text: oneLine(name, 120) });
}
