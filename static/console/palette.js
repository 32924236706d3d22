// Ctrl-K on every page: the pages of the sidebar, deeds, and whatever the site finds by name or id.

import { gettext, ngettext } from "./translated.js";

const dialog = document.getElementById("palette");
const field = document.getElementById("palette-words");
const list = document.getElementById("palette-list");
const said = document.getElementById("palette-said");

const WAIT_MS = 120;
const PAGES_WITHOUT_WORDS = 8;
const PAGES_WITH_WORDS = 6;

let options = [];
let at = -1;
let asked = null;
let timer = 0;
let found = [];
let cameFrom = null;

function icon(name) {
  const copy = document.querySelector("#palette .icon").cloneNode(true);
  const use = copy.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${name}`));
  return copy;
}

function iconOf(link) {
  return link.querySelector("use")?.getAttribute("href").split("#")[1] ?? "right";
}

// The words themselves, best at the beginning; else letters that begin words, with those after them.
function score(title, words) {
  const name = title.toLowerCase();
  const whole = name.indexOf(words);
  if (whole >= 0) return whole === 0 ? 3 : /\W/.test(name[whole - 1]) ? 2.5 : 2;
  let at = -1;
  for (const letter of words) {
    const isNext = at >= 0 && name[at + 1] === letter;
    at = isNext ? at + 1 : [...name].findIndex((other, place) => place > at && other === letter && (!place || /\W/.test(name[place - 1])));
    if (at < 0) return 0;
  }
  return words.length > 1 ? 1 : 0;
}

function places() {
  return [...document.querySelectorAll("#nav-sidebar a")].map((link) => ({
    title: link.textContent.trim(),
    icon: iconOf(link),
    url: link.href,
    hint: link.dataset.go ? `g ${link.dataset.go}` : "",
  }));
}

function deeds() {
  return [...document.getElementById("palette-deeds").content.querySelectorAll("li")].map((line) => ({
    title: line.textContent.trim(), icon: line.dataset.icon, url: line.dataset.url, deed: line.dataset.deed,
  }));
}

function best(items, words, most) {
  if (!words) return items.slice(0, most);
  return items.map((item) => [score(item.title, words), item])
    .filter(([points]) => points > 0)
    .sort((one, other) => other[0] - one[0])
    .slice(0, most)
    .map(([, item]) => item);
}

function heading(text) {
  const line = document.createElement("li");
  line.className = "palette-group";
  line.role = "presentation";
  line.textContent = text;
  return line;
}

function optionOf(item, index) {
  const line = document.createElement("li");
  line.role = "option";
  line.id = `palette-${index}`;
  line.dataset.index = index;
  line.append(icon(item.icon));
  const title = document.createElement("span");
  title.className = "palette-title";
  title.textContent = item.title;
  line.append(title);
  if (item.note) line.append(item.note);
  if (item.hint) {
    const keys = document.createElement("kbd");
    keys.textContent = item.hint;
    line.append(keys);
  }
  return line;
}

function show() {
  const words = field.value.trim().toLowerCase();
  const groups = [
    [gettext("Pages"), best(places(), words, words ? PAGES_WITH_WORDS : PAGES_WITHOUT_WORDS)],
    [gettext("Actions"), best(deeds(), words, 4)],
    ...(words ? found : []),
  ].filter(([, items]) => items.length);
  options = groups.flatMap(([, items]) => items);
  let index = 0;
  list.replaceChildren(...groups.flatMap(([title, items]) => [
    heading(title), ...items.map((item) => optionOf(item, index++)),
  ]));
  choose(options.length ? 0 : -1);
}

function choose(index) {
  list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
  at = index;
  const line = document.getElementById(`palette-${index}`);
  if (!line) return field.removeAttribute("aria-activedescendant");
  line.setAttribute("aria-selected", "true");
  line.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", line.id);
}

function groupsOf(html) {
  const answer = new DOMParser().parseFromString(html, "text/html");
  return [...answer.querySelectorAll("section.found")].map((section) => [
    section.getAttribute("aria-label"),
    [...section.querySelectorAll("a[data-found]")].map((link) => ({
      title: link.querySelector(".found-title").textContent.trim(),
      icon: iconOf(link),
      url: link.getAttribute("href"),
      note: document.importNode(link.querySelector(".found-note"), true),
    })),
  ]);
}

async function ask(words) {
  asked?.abort();
  const mine = new AbortController();
  asked = mine;
  said.textContent = gettext("Looking …");
  try {
    const address = `${dialog.dataset.find}?part=1&q=${encodeURIComponent(words)}`;
    const answer = await fetch(address, { signal: mine.signal });
    if (!answer.ok || answer.redirected) throw new Error(answer.redirected ? "You are signed out." : `The site answers ${answer.status}.`);
    found = groupsOf(await answer.text());
    show();
    const count = found.reduce((sum, [, items]) => sum + items.length, 0);
    said.textContent = count ? ngettext("%(n)s found by name or id", "%(n)s found by name or id", count) : gettext("No name and no id begins so");
  } catch (error) {
    if (error.name !== "AbortError") said.textContent = gettext("Nothing could be looked up. %(why)s", { why: error.message });
  }
}

function onInput() {
  clearTimeout(timer);
  const words = field.value.trim();
  show();
  if (words.length < 2) {
    asked?.abort();
    found = [];
    said.textContent = "";
    return;
  }
  timer = setTimeout(() => ask(words), WAIT_MS);
}

function go(item) {
  dialog.close();
  if (item.url) location.assign(item.url);
  else if (item.deed === "theme") document.querySelector("[data-theme-switch]").click();
  else if (item.deed === "keys") document.getElementById("keys").showModal();
  else if (item.deed === "logout") document.getElementById("logout-form").requestSubmit();
}

function open() {
  if (dialog.open) return dialog.close();
  if (document.querySelector("dialog[open]")) return;
  cameFrom = document.activeElement;
  field.value = "";
  found = [];
  said.textContent = "";
  dialog.showModal();
  show();
  field.focus();
}

function onKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && options.length) {
    event.preventDefault();
    choose((at + step + options.length) % options.length);
  } else if (event.key === "Enter" && options[at]) {
    event.preventDefault();
    go(options[at]);
  }
}

if (dialog) {
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
    }
  });
  for (const button of document.querySelectorAll("[data-palette-open]")) button.addEventListener("click", open);
  field.addEventListener("input", onInput);
  field.addEventListener("keydown", onKey);
  list.addEventListener("click", (event) => {
    const line = event.target.closest("[role=option]");
    if (line) go(options[Number(line.dataset.index)]);
  });
  list.addEventListener("pointermove", (event) => {
    const line = event.target.closest("[role=option]");
    if (line && Number(line.dataset.index) !== at) choose(Number(line.dataset.index));
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => cameFrom?.focus?.());
}
