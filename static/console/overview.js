// Keeps the overview true while it is looked at. Parts that say the same stay as they are.

import { refreshMoments } from "./moments.js";
import { gettext } from "./translated.js";

const PAUSE_MS = 4_000;
const LATE_MS = 30_000; // between attempts while the site cannot be reached

const place = document.getElementById("overview-live");
const mark = document.getElementById("live-mark");
const told = new Map(); // what the server last said of each part
let pause = PAUSE_MS;
let timer = 0;

const partsOf = (scope) => scope.querySelectorAll("[data-part]");

function says(part) {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = "";
  return copy.innerHTML;
}

function renewPart(now, next) {
  const words = says(next);
  if (told.get(now.dataset.part) === words) return;
  told.set(now.dataset.part, words);
  if (now.contains(document.activeElement) && now.children.length !== 1) return; // not under somebody's fingers
  const link = now.contains(document.activeElement) ? now.querySelector("a") : null;
  now.replaceChildren(...next.childNodes);
  if (link) now.querySelector("a")?.focus({ preventScroll: true });
}

function show(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const found = new Map([...partsOf(page)].map((part) => [part.dataset.part, part]));
  const names = [...partsOf(place)].map((part) => part.dataset.part);
  // Somebody's rights have changed: other parts than before.
  if (names.length !== found.size || names.some((name) => !found.has(name))) {
    place.replaceChildren(...page.body.childNodes);
  } else {
    for (const part of partsOf(place)) renewPart(part, document.adoptNode(found.get(part.dataset.part)));
  }
  refreshMoments(place);
}

function say(words) {
  mark.hidden = words === "";
  if (mark.textContent !== words) mark.textContent = words;
}

async function ask() {
  clearTimeout(timer);
  if (document.hidden) return; // goes on when it is seen again
  try {
    const answer = await fetch(place.dataset.live, { headers: { Accept: "text/html" } });
    if (answer.redirected || answer.status === 403) {
      say(gettext("You were signed out. Load the page again."));
      return;
    }
    if (!answer.ok) throw new Error(`The site answered ${answer.status}.`);
    show(await answer.text());
    say("");
    pause = PAUSE_MS;
  } catch {
    say(gettext("Not up to date: the site cannot be reached."));
    pause = Math.min(pause * 2, LATE_MS);
  }
  timer = setTimeout(ask, pause);
}

for (const part of partsOf(place)) told.set(part.dataset.part, says(part));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) ask();
});
timer = setTimeout(ask, PAUSE_MS);
