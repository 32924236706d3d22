// Follows one run. The socket carries news; what is shown comes from the server, part by part, so
// that the page never knows more than its reader may.

import { refreshMoments } from "./moments.js";

const GATHER_MS = 150; // news within this time is shown at once
const POLL_MS = 5_000; // without a socket
const MAX_WAIT_MS = 15_000;
const NEAR_END_PX = 80; // a reader this near to the end is taken along
const BELOW_END_PX = 24; // room left below what was followed

const page = document.getElementById("run");
let after = page.dataset.after; // the cursor; in a run's stream it is the last event's number
let refreshing = false;
let wantsRefresh = false;
let tries = 0;
let written = { after: -1, text: "" };

function isLive() {
  return document.getElementById("run-head").dataset.liveRun === "yes";
}

function showLink(state, word) {
  const place = document.getElementById("link-state");
  place.className = `link-state is-${state}`;
  const text = place.querySelector("[data-link-word]") ?? place.appendChild(document.createElement("span"));
  text.dataset.linkWord = "";
  text.textContent = word;
}

// --- keeping the end in sight ----------------------------------------------------------------------

// The end of the story, not of the page: on narrow screens the facts come below it.
function end() {
  return page.querySelector(".run-main").getBoundingClientRect().bottom;
}

function isAtEnd() {
  return isLive() && end() <= innerHeight + NEAR_END_PX;
}

function follow() {
  const hidden = end() + BELOW_END_PX - innerHeight;
  if (hidden > 0) scrollBy({ top: hidden, behavior: "instant" });
}

// --- showing what the server has ----------------------------------------------------------------

function opened(part) {
  return new Map([...part.querySelectorAll("details[data-key]")].map((item) => [item.dataset.key, item.open]));
}

function place(next) {
  const now = document.getElementById(next.id);
  if (!now || now.dataset.source === next.innerHTML) return;
  const isOpen = opened(now);
  const focused = now.contains(document.activeElement) ? document.activeElement : null;
  const label = focused?.getAttribute("formaction") ?? focused?.getAttribute("href");
  now.dataset.source = next.innerHTML;
  now.replaceChildren(...[...next.childNodes].map((node) => document.adoptNode(node)));
  if (next.dataset.liveRun) now.dataset.liveRun = next.dataset.liveRun;
  for (const item of now.querySelectorAll("details[data-key]")) {
    if (isOpen.has(item.dataset.key)) item.open = isOpen.get(item.dataset.key);
  }
  if (label) {
    const same = [...now.querySelectorAll("a, button")].find((item) =>
      (item.getAttribute("formaction") ?? item.getAttribute("href")) === label);
    same?.focus();
  }
  refreshMoments(now);
}

async function refresh() {
  if (refreshing) {
    wantsRefresh = true;
    return;
  }
  refreshing = true;
  try {
    await new Promise((done) => setTimeout(done, GATHER_MS));
    wantsRefresh = false;
    const answer = await fetch(page.dataset.fragment, { headers: { Accept: "text/html" } });
    if (answer.redirected || answer.status === 403) {
      showLink("lost", "you may no longer see this run");
      return;
    }
    if (!answer.ok) throw new Error(`the page answered ${answer.status}`);
    const follows = isAtEnd();
    const word = document.getElementById("link-state").cloneNode(true);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of [...next.querySelectorAll("[data-live]")]) place(part);
    document.getElementById("link-state").replaceWith(word);
    if (!isLive()) showLink("ended", "ended");
    hideWritten();
    if (follows) follow();
  } catch {
    wantsRefresh = true;
    await new Promise((done) => setTimeout(done, 2_000));
  } finally {
    refreshing = false;
    if (wantsRefresh) refresh();
  }
}

// --- an answer on its way -------------------------------------------------------------------------

function write(frame) {
  if (frame.channel !== "text" || frame.after_sequence < written.after) return;
  if (frame.after_sequence > written.after) written = { after: frame.after_sequence, text: "" };
  const follows = isAtEnd();
  written.text += frame.delta;
  document.getElementById("writing-text").textContent = written.text;
  document.getElementById("writing").hidden = false;
  if (follows) follow();
}

function hideWritten() {
  if (Number(after) <= written.after) return;
  document.getElementById("writing").hidden = true;
}

// --- the socket -------------------------------------------------------------------------------------

function take(frame) {
  if (frame.type === "delta") {
    write(frame);
  } else if (frame.type === "events") {
    after = frame.cursor;
    refresh();
  }
}

function connect() {
  const origin = location.origin.replace(/^http/, "ws");
  const socket = new WebSocket(`${origin}${page.dataset.socket}?after=${encodeURIComponent(after)}`);
  socket.addEventListener("open", () => {
    tries = 0;
    showLink("open", "live");
  });
  socket.addEventListener("message", (message) => take(JSON.parse(message.data)));
  socket.addEventListener("close", (event) => {
    if (!isLive()) return showLink("ended", "ended");
    if (event.code === 4401 || event.code === 4403) return showLink("lost", "not allowed to watch");
    tries += 1;
    showLink("lost", "reconnecting");
    const wait = Math.min(500 * 2 ** tries, MAX_WAIT_MS) * (0.5 + Math.random() / 2);
    setTimeout(connect, wait);
  });
}

// --- tabs ---------------------------------------------------------------------------------------------

const tabs = [...document.querySelectorAll('[role="tab"]')];

function choose(tab, moveFocus = false) {
  for (const other of tabs) {
    const isChosen = other === tab;
    other.setAttribute("aria-selected", String(isChosen));
    other.tabIndex = isChosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !isChosen;
  }
  if (moveFocus) tab.focus({ preventScroll: true });
  showWhole(tab);
}

// The row of tabs may be wider than a narrow screen; the page itself stays where it is.
function showWhole(tab) {
  const row = tab.parentElement;
  const [box, own] = [row.getBoundingClientRect(), tab.getBoundingClientRect()];
  if (own.left < box.left) row.scrollLeft -= box.left - own.left;
  if (own.right > box.right) row.scrollLeft += own.right - box.right;
}

// Not the id of the panel: the browser would jump there and past everything above it.
function address(tab) {
  return `#show=${tab.getAttribute("aria-controls")}`;
}

function fromAddress() {
  const tab = tabs.find((other) => address(other) === location.hash);
  if (tab) choose(tab);
}

function openTab(tab) {
  choose(tab, true);
  history.replaceState(null, "", address(tab));
}

for (const tab of tabs) {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(tab);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    openTab(tabs.at(next % tabs.length));
  });
}

addEventListener("hashchange", fromAddress);
fromAddress();
if (isLive()) {
  connect();
  setInterval(() => {
    if (isLive() && tries > 0) refresh();
  }, POLL_MS);
} else {
  showLink("ended", "ended");
}
