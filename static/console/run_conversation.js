// The conversation of a run: a window of turns that grows at both ends on demand, follows the run
// at its end, and never holds more than a bounded number of turns.

import { refreshMoments } from "./moments.js";
import { ask, gathered, isLive, lastEvent, openedIn, Refused, reopen } from "./run_live.js";
import { numberInAddress, onShow, show, shownPanel } from "./run_tabs.js";
import { gettext } from "./translated.js";

const GATHER_MS = 100; // news within this time is shown at once
const MAX_TURNS = 120;
const NEAR_END_PX = 80; // a reader this near to the end is taken along
const BELOW_END_PX = 24; // room left below what was followed

const page = document.getElementById("run");
const body = document.getElementById("conversation-body");
const earlier = document.getElementById("earlier");
const later = document.getElementById("later");
const isReadable = page.dataset.readable === "yes";

let first = Number(body.dataset.first ?? 0);
let last = Number(body.dataset.last ?? -1);
let settled = Number(body.dataset.settled ?? -1);
let isAtTail = true; // nothing newer lies behind what is shown
let written = { after: -1, text: "" };

// --- keeping the end in sight ----------------------------------------------------------------------

// The end of the story, not of the page: on narrow screens the facts come below it.
function end() {
  return page.querySelector(".run-main").getBoundingClientRect().bottom;
}

function isAtEnd() {
  return isLive() && isAtTail && end() <= innerHeight + NEAR_END_PX;
}

function followEnd() {
  const hidden = end() + BELOW_END_PX - innerHeight;
  if (hidden > 0) scrollBy({ top: hidden, behavior: "instant" });
}

// --- windows ----------------------------------------------------------------------------------------

async function fetchTurns(query) {
  const answer = await (await ask(`${page.dataset.turns}${query}`)).json();
  const parsed = new DOMParser().parseFromString(answer.html, "text/html");
  return { ...answer, turns: [...parsed.querySelectorAll("article.turn")].map((turn) => document.adoptNode(turn)) };
}

function shown() {
  return [...body.querySelectorAll(":scope > article[data-position]")];
}

function position(turn) {
  return Number(turn.dataset.position);
}

function tellEnds() {
  earlier.hidden = first <= 0;
  later.hidden = isAtTail;
}

function replaceAll(found) {
  body.replaceChildren(...found.turns);
  ({ first, last, settled } = found);
  isAtTail = found.later === 0;
  refreshMoments(body);
  tellEnds();
}

// What a turn says, without how long ago.
function content(turn) {
  return turn.innerHTML.replace(/(<time[^>]*>)[^<]*/g, "$1");
}

/** Puts turns in the place of those behind `from`; what is the same stays as it is. */
function putBehind(from, turns) {
  for (const lone of body.querySelectorAll(":scope > article:not([data-position])")) lone.remove();
  const old = new Map(shown().filter((turn) => position(turn) > from).map((turn) => [turn.id, turn]));
  for (const turn of turns) {
    const now = old.get(turn.id);
    old.delete(turn.id);
    turn.source = content(turn);
    if (now && now.source === turn.source) continue;
    refreshMoments(turn);
    if (!now) {
      body.append(turn);
      continue;
    }
    reopen(turn, openedIn(now));
    now.replaceWith(turn);
  }
  for (const gone of old.values()) gone.remove();
}

function dropFromTop() {
  const turns = shown();
  const spare = turns.length - MAX_TURNS;
  if (spare <= 0) return;
  for (const turn of turns.slice(0, spare)) turn.remove();
  first = position(turns[spare]);
}

function dropFromBottom() {
  const turns = shown();
  const spare = turns.length - MAX_TURNS;
  if (spare <= 0) return;
  for (const turn of turns.slice(-spare)) turn.remove();
  last = position(turns[turns.length - spare - 1]);
  settled = Math.min(settled, last);
  isAtTail = false;
}

async function renew() {
  if (!isAtTail) return;
  const found = await fetchTurns(`?after=${settled}`);
  const follows = isAtEnd();
  if (found.later > MAX_TURNS && follows) {
    replaceAll(await fetchTurns(""));
  } else if (shown().length >= MAX_TURNS && !follows && found.last > last) {
    isAtTail = false; // whoever reads above is not pushed about; a button leads on
  } else {
    putBehind(settled, found.turns);
    if (found.last > last) last = found.last;
    settled = found.settled;
    if (follows) dropFromTop();
    if (found.later > 0) renewSoon();
  }
  tellEnds();
  hideWritten();
  if (follows) followEnd();
}

const renewSoon = gathered(renew, GATHER_MS);

async function showEarlier() {
  const found = await fetchTurns(`?before=${first}`);
  const anchor = body.firstElementChild;
  const before = anchor?.getBoundingClientRect().top ?? 0;
  body.prepend(...found.turns);
  refreshMoments(body);
  first = found.turns.length ? found.first : 0;
  dropFromBottom();
  tellEnds();
  if (anchor) scrollBy({ top: anchor.getBoundingClientRect().top - before, behavior: "instant" });
}

async function showLater() {
  const found = await fetchTurns(`?after=${last}`);
  body.append(...found.turns);
  refreshMoments(body);
  last = Math.max(last, found.last);
  settled = found.settled;
  isAtTail = found.later === 0;
  dropFromTop();
  tellEnds();
}

/** Opens the conversation at a message and moves there. */
export async function goTo(wanted) {
  if (!isReadable) return;
  show("conversation");
  const isThere = (turn) => position(turn) === wanted;
  if (!shown().some(isThere)) replaceAll(await fetchTurns(`?around=${wanted}`));
  const turn = shown().find(isThere) ?? shown().findLast((other) => position(other) <= wanted);
  turn?.scrollIntoView({ block: "start", behavior: "instant" });
  turn?.focus({ preventScroll: true });
  turn?.classList.add("is-sought");
  setTimeout(() => turn?.classList.remove("is-sought"), 2_000);
}

// --- an answer on its way -------------------------------------------------------------------------

/** Shows a fragment of the answer being written. */
export function write(frame) {
  if (frame.channel !== "text" || frame.after_sequence < written.after) return;
  if (frame.after_sequence > written.after) written = { after: frame.after_sequence, text: "" };
  const follows = isAtEnd();
  written.text += frame.delta;
  document.getElementById("writing-text").textContent = written.text;
  document.getElementById("writing").hidden = false;
  if (follows) followEnd();
}

function hideWritten() {
  if (lastEvent() <= written.after) return;
  document.getElementById("writing").hidden = true;
}

// --- texts too long for the page ---------------------------------------------------------------------

async function fetchWhole(fold) {
  const place = fold.querySelector("pre");
  if (place.textContent) return;
  place.textContent = "…";
  try {
    const { value } = await (await ask(fold.dataset.whole)).json();
    place.textContent = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  } catch (error) {
    place.textContent = error instanceof Refused ? error.message : gettext("It cannot be had now; close this and open it again.");
    if (!(error instanceof Refused)) fold.addEventListener("toggle", () => { place.textContent = ""; }, { once: true });
  }
}

let isBehind = false; // something happened while another tab was in sight

export function news() {
  if (!isReadable) return;
  isBehind = shownPanel() !== "conversation";
  if (!isBehind) renewSoon();
}

export function startConversation() {
  if (!isReadable) return;
  for (const turn of shown()) turn.source = content(turn);
  earlier.addEventListener("click", showEarlier);
  later.addEventListener("click", showLater);
  body.addEventListener("toggle", (event) => {
    if (event.target.open && event.target.dataset.whole) fetchWhole(event.target);
  }, true);
  onShow("conversation", () => {
    if (isBehind) renewSoon();
    isBehind = false;
  });
  const wanted = numberInAddress("at");
  if (wanted !== null) goTo(wanted);
}
