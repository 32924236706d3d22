// Follows one run. The socket carries news; what is shown comes from the server, part by part, so
// that the page never knows more than its reader may.

import { refreshMoments } from "./moments.js";
import { shownPanel } from "./run_tabs.js";
import { gettext } from "./translated.js";

const POLL_MS = 5_000; // without a socket
const TREE_MS = 2_000; // other runs of the tree have sockets of their own
const MAX_WAIT_MS = 15_000;
const FRAGMENT_MS = 300; // at least so long between two looks at the parts that change

const page = document.getElementById("run");
let after = page.dataset.after; // the cursor; in a run's stream it is the last event's number
let tag = "";
let tries = 0;

export function isLive() {
  return document.getElementById("run-head").dataset.liveRun === "yes";
}

export function showLink(state, word) {
  const place = document.getElementById("link-state");
  place.className = `link-state is-${state}`;
  const text = place.querySelector("[data-link-word]") ?? place.appendChild(document.createElement("span"));
  text.dataset.linkWord = "";
  if (text.textContent !== word) text.textContent = word;
}

/** The address of a part of a run: of this one, or of another. */
export function addressOf(part, run = page.dataset.run) {
  return page.dataset.events.replace(page.dataset.run, run).replace(/events\/$/, part);
}

/** The number of the last event the page was told of. */
export function lastEvent() {
  return Number(after);
}

/**
 * Makes a function that does `work` soon, once for all who asked meanwhile; at once after a quiet
 * time, and never more than two thirds of the time: slow answers are asked for less often.
 */
export function gathered(work, leastMs) {
  let isBusy = false;
  let isWanted = false;
  let pause = leastMs;
  let ended = -Infinity;
  async function run() {
    isBusy = true;
    while (isWanted) {
      await new Promise((done) => setTimeout(done, Math.max(ended + pause - performance.now(), 0)));
      isWanted = false;
      const began = performance.now();
      try {
        await work();
        pause = Math.max(leastMs, (performance.now() - began) / 2);
      } catch (error) {
        if (error instanceof Refused) break;
        isWanted = true; // the site cannot be reached now
        pause = 2_000;
      }
      ended = performance.now();
    }
    isBusy = false;
  }
  return () => {
    isWanted = true;
    if (!isBusy) run();
  };
}

/** The server says no, and will say it again. */
export class Refused extends Error {}

export async function ask(url, headers = { Accept: "application/json" }) {
  const answer = await fetch(url, { headers });
  if (answer.redirected || answer.status === 403) {
    showLink("lost", "you may no longer see this run");
    throw new Refused("you may no longer see this run");
  }
  if (answer.status >= 400 && answer.status < 500) {
    const told = await answer.json().catch(() => ({}));
    throw new Refused(told.sentence ?? `The page answered ${answer.status}.`);
  }
  if (!answer.ok && answer.status !== 304) throw new Error(`the page answered ${answer.status}`);
  return answer;
}

// --- the parts that change ---------------------------------------------------------------------------

export function openedIn(part) {
  return new Map([...part.querySelectorAll("details[data-key]")].map((item) => [item.dataset.key, item.open]));
}

export function reopen(part, isOpen) {
  for (const item of part.querySelectorAll("details[data-key]")) {
    if (isOpen.has(item.dataset.key)) item.open = isOpen.get(item.dataset.key);
  }
}

function place(next) {
  const now = document.getElementById(next.id);
  if (!now || now.dataset.source === next.innerHTML) return;
  const isOpen = openedIn(now);
  const focused = now.contains(document.activeElement) ? document.activeElement : null;
  const label = focused?.getAttribute("formaction") ?? focused?.getAttribute("href");
  now.dataset.source = next.innerHTML;
  now.replaceChildren(...[...next.childNodes].map((node) => document.adoptNode(node)));
  if (next.dataset.liveRun) now.dataset.liveRun = next.dataset.liveRun;
  reopen(now, isOpen);
  if (label) {
    const same = [...now.querySelectorAll("a, button")].find((item) =>
      (item.getAttribute("formaction") ?? item.getAttribute("href")) === label);
    same?.focus();
  }
  refreshMoments(now);
}

async function renewParts() {
  const headers = { Accept: "text/html" };
  if (tag) headers["If-None-Match"] = tag;
  const answer = await ask(`${page.dataset.fragment}?show=${shownPanel()}`, headers);
  if (answer.status === 304) return;
  tag = answer.headers.get("ETag") ?? "";
  const word = document.getElementById("link-state").cloneNode(true);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of [...next.querySelectorAll("[data-live]")]) place(part);
  document.getElementById("link-state").replaceWith(word);
  if (!isLive()) showLink("ended", gettext("ended"));
}

export const refreshParts = gathered(renewParts, FRAGMENT_MS);

// --- the socket -------------------------------------------------------------------------------------

/** Tells `onNews` that something happened, and `onDelta` of words on their way. */
export function follow({ onNews, onDelta }) {
  if (!isLive()) {
    showLink("ended", gettext("ended"));
    return;
  }
  connect(onNews, onDelta);
  setInterval(() => {
    if (isLive() && tries > 0) onNews();
  }, POLL_MS);
  setInterval(() => {
    if (isLive() && !document.hidden && document.querySelector("#run-family li")) refreshParts();
  }, TREE_MS);
}

function connect(onNews, onDelta) {
  const origin = location.origin.replace(/^http/, "ws");
  const socket = new WebSocket(`${origin}${page.dataset.socket}?after=${encodeURIComponent(after)}`);
  socket.addEventListener("open", () => {
    tries = 0;
    showLink("open", gettext("live"));
  });
  socket.addEventListener("message", (message) => {
    const frame = JSON.parse(message.data);
    if (frame.type === "delta") {
      onDelta(frame);
    } else if (frame.type === "events") {
      after = frame.cursor;
      onNews();
    }
  });
  socket.addEventListener("close", (event) => {
    if (!isLive()) return showLink("ended", gettext("ended"));
    if (event.code === 4401 || event.code === 4403) return showLink("lost", gettext("not allowed to watch"));
    tries += 1;
    showLink("lost", gettext("reconnecting"));
    const wait = Math.min(500 * 2 ** tries, MAX_WAIT_MS) * (0.5 + Math.random() / 2);
    setTimeout(() => connect(onNews, onDelta), wait);
  });
}
