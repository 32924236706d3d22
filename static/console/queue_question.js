// The open question: shown from the server's page part, the next one fetched ahead of its turn.

import { refreshMoments } from "./moments.js";
import { tick } from "./queue_clock.js";
import { gettext } from "./translated.js";

const SETTLE_MS = 150; // keys pressed before somebody can have seen it are not for it
const page = document.getElementById("queue");
const main = document.getElementById("queue-main");
const ahead = new Map(); // one question that was fetched before it was asked for
let wanted = document.getElementById("question")?.dataset.question ?? "";
let settling = 0;

export const question = () => document.getElementById("question");

// Whether what is shown is what was asked for, as it stands.
export function isShown(id) {
  const shown = question();
  return Boolean(shown) && wanted === id && shown.dataset.question === id && !hasNews();
}

// And whether it was there to be seen.
export const isReady = () => isShown(wanted) && question().dataset.ready === "yes";

export const isOpen = () => isReady() && question().dataset.open === "yes";
export const hasNews = () => question()?.querySelector("[data-news]")?.hidden === false;

export function showNews(sentence) {
  const news = question()?.querySelector("[data-news]");
  if (!news) return;
  const text = news.querySelector("[data-news-text]");
  if (!news.hidden && text.textContent === sentence) return;
  text.textContent = sentence;
  news.hidden = false;
}

export function settle() {
  clearTimeout(settling);
  const shown = question();
  if (!shown) return;
  settling = setTimeout(() => { shown.dataset.ready = "yes"; }, SETTLE_MS);
}

async function fetched(id) {
  const answer = await fetch(`${page.dataset.place}${id}/question/`, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (answer.redirected || answer.status === 403) throw new Error(gettext("You may not see this question any more."));
  if (!answer.ok) throw new Error(gettext("The question cannot be shown: the site answered %(status)s.", { status: answer.status }));
  return answer.text();
}

function place(html) {
  const found = new DOMParser().parseFromString(html, "text/html").getElementById("question");
  main.replaceChildren(document.adoptNode(found));
  main.scrollTop = 0;
  if (document.body.classList.contains("is-opened")) scrollTo({ top: 0, behavior: "instant" });
  refreshMoments(main);
  tick(main);
  settle();
}

// Shows a question; returns whether it is still the one that is wanted.
export async function show(id) {
  wanted = id;
  const known = ahead.get(id);
  ahead.delete(id);
  main.setAttribute("aria-busy", "true");
  try {
    const html = await (known ? known.catch(() => fetched(id)) : fetched(id));
    if (wanted !== id) return false;
    place(html);
    return true;
  } finally {
    if (wanted === id) main.removeAttribute("aria-busy");
  }
}

// Fetches one question before its turn. What has changed meanwhile is refused by its digest.
export function prepare(id) {
  if (!id || ahead.has(id) || id === wanted) return;
  ahead.clear();
  const coming = fetched(id);
  coming.catch(() => ahead.delete(id)); // it is asked for again when it is wanted
  ahead.set(id, coming);
}

export function forgetPrepared() {
  ahead.clear();
}

export async function showNothing() {
  wanted = "";
  const answer = await fetch(`${page.dataset.place}${page.dataset.query}`, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error(gettext("The queue cannot be shown. Sign in again."));
  const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("queue-main");
  const shown = found.querySelector("#question")?.dataset.question ?? "";
  main.replaceChildren(...[...found.childNodes].map((node) => document.adoptNode(node)));
  wanted = shown;
  refreshMoments(main);
  tick(main);
  settle();
}
