// The list of the queue: asked for again every moment and shown anew when it has changed. Its
// reader's row, place and focus stay where they are.

import { refreshMoments } from "./moments.js";
import { setClock, tick } from "./queue_clock.js";
import { gettext } from "./translated.js";

const PAUSE_MS = 1_500;
const page = document.getElementById("queue");
const side = page.querySelector(".queue-side");
const list = () => document.getElementById("queue-list");
let current = "";
let asking = null;

export const rows = () => [...side.querySelectorAll("[data-row]")];
export const rowOf = (id) => side.querySelector(`[data-row="${CSS.escape(id)}"]`);

export function markCurrent(id) {
  current = id;
  for (const row of rows()) {
    const isCurrent = row.dataset.row === id;
    if (!isCurrent && row.classList.contains("is-gone")) row.remove();
    row.classList.toggle("is-at", isCurrent);
    const link = row.querySelector("a");
    if (isCurrent) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

export function showRow(id, { focus = false } = {}) {
  const link = rowOf(id)?.querySelector("a");
  if (!link) return;
  if (focus) link.focus({ preventScroll: true });
  link.scrollIntoView({ block: "nearest" });
}

// The row `step` away from the current one; without one, the first.
export function neighbour(step) {
  const all = rows();
  const at = all.findIndex((row) => row.dataset.row === current);
  if (at < 0) return all[0]?.dataset.row ?? "";
  return all[Math.min(Math.max(at + step, 0), all.length - 1)].dataset.row;
}

// What to show when these are answered: the next one that is left, or the one before.
export function following(ids) {
  const all = rows();
  const at = all.findIndex((row) => row.dataset.row === current);
  const isLeft = (row) => !ids.includes(row.dataset.row) && !row.classList.contains("is-gone");
  const found = all.slice(at + 1).find(isLeft) ?? all.slice(0, Math.max(at, 0)).reverse().find(isLeft);
  return found?.dataset.row ?? "";
}

export function forget(ids) {
  for (const id of ids) rowOf(id)?.remove();
}

function keepGone(fresh, truth) {
  const before = rowOf(current);
  if (!before || fresh.querySelector(`[data-row="${CSS.escape(current)}"]`)) return;
  const at = rows().indexOf(before);
  const kept = before.cloneNode(true);
  kept.classList.add("is-gone");
  if (truth?.sentence) kept.querySelector(".queue-row-facts").textContent = truth.sentence;
  let into = fresh.querySelector(".queue-rows");
  if (!into) {
    into = document.createElement("ol");
    into.className = "queue-rows";
    fresh.querySelector(".queue-none")?.replaceWith(into);
  }
  into.insertBefore(kept, into.children[at] ?? null);
}

function place(fresh, truth) {
  const now = list();
  const filter = now.querySelector(".queue-filter");
  const focused = now.contains(document.activeElement) ? document.activeElement : null;
  const offset = rowOf(current)?.getBoundingClientRect().top;
  keepGone(fresh, truth);
  if (filter.contains(focused) || filter.open) fresh.querySelector(".queue-filter").replaceWith(filter);
  now.replaceWith(fresh);
  markCurrent(current);
  if (offset !== undefined && rowOf(current)) {
    side.scrollTop += rowOf(current).getBoundingClientRect().top - offset;
  }
  if (focused?.id) document.getElementById(focused.id)?.focus({ preventScroll: true });
  refreshMoments(fresh);
  tick(fresh);
}

function truthOf(part) {
  const { open, state, digest, sentence } = part.dataset;
  return open ? { id: open, state, digest, sentence } : null;
}

async function ask(question) {
  const address = new URL(page.dataset.list, location.href);
  address.search = page.dataset.query;
  if (question) {
    address.searchParams.set("open", question.dataset.question);
    address.searchParams.set("seen", question.dataset.seen);
  }
  const answer = await fetch(address, {
    headers: { Accept: "text/html", "If-None-Match": list().dataset.mark },
    cache: "no-store",
  });
  if (answer.status === 304) return null;
  if (answer.redirected || answer.status === 403) {
    throw new Error(gettext("You may not see the queue any more. Sign in again, or ask for the permission approval.view."));
  }
  if (!answer.ok) throw new Error(gettext("The list cannot be asked for: the site answered %(status)s.", { status: answer.status }));
  const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("queue-list");
  const fresh = document.adoptNode(found);
  setClock(fresh.dataset.now);
  const truth = truthOf(fresh);
  place(fresh, truth);
  return truth;
}

// Returns how the open question stands, where that is news; one request at a time.
export async function refresh(question) {
  while (asking) await asking.catch(() => null); // who asked is told of its failure
  asking = ask(question);
  try {
    return await asking;
  } finally {
    asking = null;
  }
}

export function follow(look) {
  const turn = async () => {
    if (!document.hidden) await look();
    setTimeout(turn, PAUSE_MS);
  };
  setTimeout(turn, PAUSE_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
}
