// Every page: colours, the menu of small screens, keys, current times, copying.

import { keepMoments } from "./moments.js";
import { isTyping } from "./typing.js";
import { gettext } from "./translated.js";

const root = document.documentElement;
const THEMES = ["auto", "light", "dark"];
const THEME_NAMES = { auto: "as the system", light: "light", dark: "dark" };

function showTheme() {
  for (const place of document.querySelectorAll("[data-theme-name]")) {
    place.textContent = THEME_NAMES[root.dataset.theme] ?? THEME_NAMES.auto;
  }
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  root.dataset.theme = next;
  try {
    localStorage.setItem("theme", next);
  } catch {
    // Storage is switched off: the choice holds for this page.
  }
  showTheme();
}

function setMenu(isOpen) {
  document.body.classList.toggle("menu-open", isOpen);
  const button = document.querySelector("[data-menu]");
  button?.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) document.querySelector("#nav-sidebar a")?.focus();
  else if (document.activeElement?.closest(".sidebar")) button?.focus();
}

function openKeys() {
  document.getElementById("keys")?.showModal();
}

function focusSearch() {
  const field = document.getElementById("searchbar") ?? document.getElementById("jump");
  if (!field) return false;
  if (field.id === "jump" && getComputedStyle(field.closest(".sidebar")).visibility === "hidden") {
    setMenu(true);
  }
  field.focus();
  field.select();
  return true;
}

function moveRow(step) {
  const rows = [...document.querySelectorAll("#result_list tbody tr")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("is-at"));
  const next = Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[at]?.classList.remove("is-at");
  rows[next].classList.add("is-at");
  rows[next].querySelector("th a, td a")?.focus();
}

let isAfterG = false;

function onKey(event) {
  if (event.key === "Escape") {
    if (document.body.classList.contains("menu-open")) setMenu(false);
    else if (isTyping(event.target)) event.target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (isAfterG) {
    isAfterG = false;
    const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
    }
    return;
  }
  const deeds = {
    "/": focusSearch,
    "?": openKeys,
    g: () => {
      isAfterG = true;
      setTimeout(() => { isAfterG = false; }, 1500);
    },
    j: () => moveRow(1),
    k: () => moveRow(-1),
    t: nextTheme,
  };
  if (Object.hasOwn(deeds, event.key)) {
    event.preventDefault();
    deeds[event.key]();
  }
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy)?.textContent ?? "";
  await navigator.clipboard.writeText(text);
  const word = button.querySelector("[data-copy-word]");
  if (word) word.textContent = gettext("Copied");
  const use = button.querySelector("use");
  use?.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#state-on"));
  button.classList.add("is-copied");
}

function onClick(event) {
  const target = event.target;
  if (target.closest("[data-theme-switch]")) nextTheme();
  else if (target.closest("[data-menu]")) setMenu(!document.body.classList.contains("menu-open"));
  else if (target.closest("[data-menu-close]")) setMenu(false);
  else if (target.closest("[data-keys-open]")) openKeys();
  else if (target.closest("[data-keys-close]") || target.id === "keys") document.getElementById("keys").close();
  else if (target.closest("[data-copy]")) copy(target.closest("[data-copy]"));
}

// Small screens show rows as cards; each cell then needs the name of its column.
function labelCells() {
  const names = [...document.querySelectorAll("#result_list thead th")].map((cell) =>
    cell.querySelector(".text")?.textContent.trim() ?? "");
  for (const row of document.querySelectorAll("#result_list tbody tr")) {
    [...row.children].forEach((cell, index) => { cell.dataset.label = names[index] ?? ""; });
  }
}

// Where filters stand above the list, only those in use stay open.
function closeFilters() {
  if (!matchMedia("(max-width: 1100px)").matches) return;
  for (const filter of document.querySelectorAll("#changelist-filter details")) {
    filter.open = !filter.querySelector("li:first-child.selected");
  }
}

document.addEventListener("click", onClick);
document.addEventListener("keydown", onKey);
showTheme();
labelCells();
closeFilters();
keepMoments();
