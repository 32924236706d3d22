// Keeps the overview true while it is looked at. Parts that say the same stay as they are.

import { keepLive } from "./live.js";
import { refreshMoments } from "./moments.js";

const PAUSE_MS = 4_000;

const place = document.getElementById("overview-live");
const told = new Map(); // what the server last said of each part

const partsOf = (scope) => scope.querySelectorAll("[data-part]");

function says(part) {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = "";
  return copy.innerHTML;
}

function renewPart(now, next) {
  const words = says(next);
  if (told.get(now.dataset.part) === words) return;
  const isHeld = now.contains(document.activeElement);
  if (isHeld && now.querySelectorAll("a").length > 1) return; // not under somebody's fingers; the next turn
  told.set(now.dataset.part, words);
  now.replaceChildren(...next.childNodes);
  if (isHeld) now.querySelector("a")?.focus({ preventScroll: true });
}

function show(page) {
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

for (const part of partsOf(place)) told.set(part.dataset.part, says(part));
if (place.dataset.live) keepLive(place.dataset.live, PAUSE_MS, show);
