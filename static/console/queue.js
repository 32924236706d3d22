// The queue of approvals by keyboard. Nothing is answered but the question that is shown, with the
// binding it was shown with; what somebody else has changed or decided meanwhile is said instead.

import * as deeds from "./queue_deeds.js";
import { follow, following, forget, markCurrent, neighbour, refresh, rows, showRow } from "./queue_list.js";
import * as open from "./queue_question.js";
import { keepTicking, setClock } from "./queue_clock.js";
import { isTyping } from "./typing.js";
import { gettext, ngettext } from "./translated.js";

const page = document.getElementById("queue");
const narrow = matchMedia("(max-width: 900px)");
const AFTER_G_MS = 700;
let isBusy = false;
let afterG = 0;
let isLost = false;

// --- saying ------------------------------------------------------------------------------------------

function say(sentence, tone = "", lines = []) {
  const place = document.getElementById("queue-said");
  place.className = `queue-said ${tone ? `is-${tone}` : ""}`;
  const list = document.createElement("ul");
  list.append(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  place.replaceChildren(sentence, ...(lines.length ? [list] : []));
}

function trouble(error) {
  say(error.message, "error");
}

function showTitle() {
  const mine = document.getElementById("queue-list").dataset.mine;
  document.title = document.title.replace(/^(\(\d+\) )?/, mine === "0" ? "" : `(${mine}) `);
}

// --- moving ------------------------------------------------------------------------------------------

function setOpened(isOpened) {
  document.body.classList.toggle("is-opened", isOpened);
}

function showAddress(id) {
  const address = id ? `${page.dataset.place}${id}/${page.dataset.query}` : `${page.dataset.place}${page.dataset.query}`;
  if (narrow.matches && id && !document.body.classList.contains("is-opened")) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

async function openQuestion(id, { focus = "row", isRead = false, anew = false } = {}) {
  if (!id) return;
  markCurrent(id);
  showAddress(id);
  if (isRead || !narrow.matches) setOpened(true);
  showRow(id, { focus: focus === "row" && !narrow.matches });
  if (!anew && open.isShown(id)) deeds.leaveAll();
  else {
    deeds.reset();
    if (!await open.show(id)) return;
  }
  if (focus === "title") document.getElementById("question-title").focus({ preventScroll: true });
  open.prepare(following([]));
}

function move(step) {
  openQuestion(neighbour(step)).catch(trouble);
}

function read() {
  const shown = open.question();
  if (!shown) return;
  if (open.hasNews()) lookAgain();
  else {
    setOpened(true);
    document.getElementById("question-title").focus();
  }
}

function lookAgain() {
  open.forgetPrepared();
  openQuestion(open.question().dataset.question, { focus: "title", isRead: true, anew: true }).catch(trouble);
}

async function goOn(ids) {
  const next = following(ids);
  forget(ids);
  deeds.reset();
  if (next) await openQuestion(next, { isRead: document.body.classList.contains("is-opened") });
  else await nothingLeft();
}

async function nothingLeft() {
  await refresh(null);
  showTitle();
  await open.showNothing();
  setOpened(false);
  markCurrent(open.question()?.dataset.question ?? "");
  showAddress("");
}

// --- what others do ------------------------------------------------------------------------------------

async function look() {
  const shown = open.question();
  try {
    const truth = await refresh(shown);
    isLost = false;
    showTitle();
    if (truth && shown === open.question() && !isBusy) compare(shown, truth);
    if (!open.question() && rows().length) await open.showNothing();
  } catch (error) {
    if (!isLost) trouble(error);
    isLost = true; // said once; the next turn asks again
  }
}

function compare(shown, truth) {
  const isAsShown = truth.state === shown.dataset.state && truth.digest === shown.dataset.seen;
  if (truth.id === shown.dataset.question && truth.sentence && !isAsShown) open.showNews(truth.sentence);
}

// --- answering -----------------------------------------------------------------------------------------

async function busy(work) {
  if (isBusy) return;
  isBusy = true;
  page.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    trouble(error);
  } finally {
    isBusy = false;
    page.removeAttribute("aria-busy");
  }
}

function send(fields) {
  if (!open.isOpen()) return;
  const shown = open.question();
  busy(async () => {
    const answer = await deeds.post(`${shown.dataset.url}decide/`, { ...fields, seen: shown.dataset.seen });
    if (answer.is_done) {
      say(gettext("%(sentence)s It cannot be undone.", { sentence: answer.sentence }), "success");
      await goOn([shown.dataset.question]);
      return;
    }
    say(answer.sentence, "error");
    if (deeds.asksSure()) deeds.leave();
    if (answer.fields.arguments) deeds.complain(answer.fields.arguments.join(" "));
    if (answer.code === "stale_state" || answer.code === "permission_denied") open.showNews(answer.sentence);
    look();
  });
}

function sendMany(verdict, reason, items) {
  if (!open.isOpen()) return;
  const body = { verdict, reason, items: JSON.stringify(items.map(({ id, seen }) => ({ id, seen }))) };
  busy(async () => {
    const answer = await deeds.post(page.dataset.many, body);
    if (!answer.is_done) {
      say(answer.sentence, "error");
      return;
    }
    const titles = new Map(items.map((item) => [item.id, item.title]));
    const lost = answer.outcomes.filter((each) => each.problem);
    say(answer.sentence, lost.length ? "error" : "success", lost.map((each) => `${titles.get(each.id)}: ${each.problem}`));
    await goOn(answer.outcomes.map((each) => each.id));
  });
}

function isGrave() {
  return narrow.matches || open.question().dataset.grave === "yes";
}

function approve() {
  if (open.question().dataset.answers === "yes") return say(gettext("Answer this one with one of its answers: 1, 2, …"), "error");
  const fields = { verdict: "approve" };
  if (isGrave()) deeds.askSure(gettext("Approve: %(title)s?", { title: open.question().dataset.title }), ["y", "a"], () => send(fields));
  else send(fields);
}

function deny() {
  if (open.question().dataset.answers === "yes") return say(gettext("Answer this one with one of its answers: 1, 2, …"), "error");
  deeds.show("deny");
}

function edit() {
  if (!deeds.show("edit")) say(gettext("The arguments of this one cannot be changed."), "error");
}

function choose(button) {
  const title = button.firstChild.textContent.trim();
  const fields = { verdict: "approve", choice: button.dataset.choice };
  deeds.askSure(gettext("Answer: %(title)s?", { title }), ["y", button.dataset.key], () => send(fields));
}

function alike() {
  const button = open.question().querySelector("[data-alike]");
  if (button) deeds.showAlike(button).catch(trouble);
}

function many(verdict) {
  const items = deeds.chosen();
  if (!items.length) return;
  const n = items.length;
  const asked = verdict === "approve"
    ? ngettext("Approve %(n)s question?", "Approve %(n)s questions?", n)
    : ngettext("Deny %(n)s question?", "Deny %(n)s questions?", n);
  deeds.askSure(asked, ["y"], () => sendMany(verdict, deeds.alikeReason(), items));
}

function grant() {
  const link = open.question()?.querySelector("[data-grant]");
  if (link) link.click();
  else say(gettext("No standing approval can be given with this one."), "error");
}

function submitPanel(form) {
  const fields = Object.fromEntries(new FormData(form));
  if (form.dataset.panel === "deny") return send({ ...fields, verdict: "deny" });
  deeds.isFit(form).then((isFit) => { if (isFit) send({ ...fields, verdict: "approve" }); }).catch(trouble);
}

// --- keys ------------------------------------------------------------------------------------------------

function waitForPlace() {
  clearTimeout(afterG);
  afterG = setTimeout(() => { afterG = 0; if (open.isOpen() && !deeds.openPanel()) grant(); }, AFTER_G_MS);
}

const MOVES = { j: () => move(1), k: () => move(-1), o: read, "?": openKeys, l: delegate };
const DEEDS = { a: approve, d: deny, e: edit, x: alike, G: grant };

function deedOf(key) {
  const sure = deeds.asksSure();
  if (sure) return sure.keys.includes(key) ? sure.fields : null;
  if (deeds.openPanel() === "alike") return { a: () => many("approve"), d: () => many("deny") }[key] ?? null;
  if (deeds.openPanel()) return null;
  const answer = /^[1-9]$/.test(key) ? open.question()?.querySelector(`[data-deed="choose"][data-key="${key}"]`) : null;
  if (answer) return () => choose(answer);
  return Object.hasOwn(DEEDS, key) ? DEEDS[key] : null;
}

function take(event) {
  event.preventDefault();
  event.stopPropagation();
}

function onKey(event) {
  if (document.querySelector("dialog[open]")) return;
  const isBegun = deeds.openPanel() || deeds.asksSure();
  if (event.key === "Escape" && isBegun) {
    take(event);
    deeds.leave();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = open.question()?.querySelector("form.deed-panel:not([hidden])");
    if (form && !event.repeat) {
      take(event);
      submitPanel(form);
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (afterG) { // the second key of "go to": the console's, never an answer
    clearTimeout(afterG);
    afterG = 0;
    return;
  }
  if (event.key === "g" && !isBegun) return waitForPlace();
  if (event.key === "Enter" && !event.target.closest("a, button, summary, select")) return read();
  onLetter(event, isBegun);
}

function onLetter(event, isBegun) {
  if (Object.hasOwn(MOVES, event.key) && !deeds.asksSure()) {
    take(event);
    if (!isBusy) MOVES[event.key]();
    return;
  }
  const isOurs = isBegun || Object.hasOwn(DEEDS, event.key) || event.key === "y" || /^[1-9]$/.test(event.key);
  if (!isOurs || event.key === "Tab" || event.key.length > 1) return;
  take(event);
  if (event.repeat || isBusy || !open.isReady()) return;
  if (open.isOpen()) deedOf(event.key)?.();
  else say(gettext("This one is not yours to answer now; it says why."), "error");
}

function openKeys() {
  document.getElementById("queue-keys").showModal();
}

function delegate() {
  open.question()?.querySelector("[data-lend]")?.click();
}

// --- fingers and mice ------------------------------------------------------------------------------------

const CLICKS = {
  approve, deny, edit, alike,
  choose,
  leave: () => deeds.leave(),
  sure: () => deeds.asksSure()?.fields(),
  many: (button) => many(button.dataset.verdict),
};

function onClick(event) {
  const target = event.target;
  const row = target.closest(".queue-row");
  const deed = target.closest("[data-deed]");
  if (row && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    if (!isBusy) openQuestion(row.closest("[data-row]").dataset.row, { focus: "title", isRead: true }).catch(trouble);
  } else if (deed) {
    if (deed.dataset.deed === "leave" || (!isBusy && open.isOpen())) CLICKS[deed.dataset.deed](deed);
  } else if (target.closest("[data-look]")) lookAgain();
  else if (target.closest("[data-queue-keys]")) openKeys();
  else if (target.closest("[data-queue-keys-close]") || target.id === "queue-keys") document.getElementById("queue-keys").close();
  else if (target.closest("[data-back]")) {
    event.preventDefault();
    setOpened(false);
    showAddress("");
  }
}

document.addEventListener("keydown", onKey, true);
document.addEventListener("click", onClick);
document.addEventListener("input", (event) => deeds.onWritten(event, trouble));
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-item]")) deeds.countChosen();
  else if (event.target.closest("[data-filter]")) event.target.form.requestSubmit();
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form.deed-panel")) return;
  event.preventDefault();
  submitPanel(event.target);
});
addEventListener("popstate", () => setOpened(location.pathname !== page.dataset.place));

page.classList.add("is-live");
setClock(page.dataset.now);
keepTicking();
markCurrent(open.question()?.dataset.question ?? "");
showRow(open.question()?.dataset.question ?? "");
open.settle();
open.prepare(following([]));
showTitle();
follow(look);
