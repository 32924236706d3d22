// What is begun at the foot of the open question: its panels, and what is sent from them.

import { question } from "./queue_question.js";
import { gettext } from "./translated.js";

const TRY_MS = 300;
const page = document.getElementById("queue");
let shownPanel = null;
let sure = null; // what a yes would send now, with the keys that mean yes
let trying = 0;
let tried = { text: "", isFit: false };

const deeds = () => question()?.querySelector("[data-deeds]");
const panelOf = (name) => deeds()?.querySelector(`[data-panel="${name}"]`);

export async function post(address, fields) {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", page.querySelector("[name=csrfmiddlewaretoken]").value);
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  const answer = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
  if (answer.redirected || answer.status === 403) throw new Error(gettext("You may not decide this any more. Sign in again; nothing was decided."));
  if (!answer.ok) throw new Error(gettext("The site answered %(status)s; look whether it was decided.", { status: answer.status }));
  return answer.json();
}

export const openPanel = () => shownPanel;
export const asksSure = () => sure;

export function reset() {
  shownPanel = null;
  sure = null;
  tried = { text: "", isFit: false };
  clearTimeout(trying);
}

export function leave() {
  if (sure) {
    sure = null;
    panelOf("sure").hidden = true;
    if (!shownPanel) showRow(true);
    return;
  }
  if (shownPanel) panelOf(shownPanel).hidden = true;
  shownPanel = null;
  if (deeds()?.contains(document.activeElement)) document.activeElement.blur();
  showRow(true);
}

export function leaveAll() {
  while (sure || shownPanel) leave();
}

function showRow(isShown) {
  const row = deeds()?.querySelector("[data-row-of-deeds]");
  if (row) row.hidden = !isShown;
}

export function askSure(what, keys, fields) {
  sure = { keys, fields };
  panelOf("sure").querySelector("[data-sure-what]").textContent = what;
  panelOf("sure").hidden = false;
  if (!shownPanel) showRow(false);
  panelOf("sure").scrollIntoView({ block: "nearest" });
}

export function show(name) {
  const panel = panelOf(name);
  if (!panel) return false;
  shownPanel = name;
  showRow(false);
  panel.hidden = false;
  const field = panel.querySelector("textarea");
  if (field) {
    field.focus();
    field.setSelectionRange(0, 0);
  }
  if (name === "edit") check(panel);
  panel.scrollIntoView({ block: "nearest" });
  return true;
}

// --- other arguments -------------------------------------------------------------------------------

function showChanges(panel, changes) {
  const lines = changes.map((each) => {
    const line = document.createElement("div");
    const [path, values] = [document.createElement("dt"), document.createElement("dd")];
    const [before, after] = [document.createElement("del"), document.createElement("ins")];
    path.append(Object.assign(document.createElement("code"), { textContent: each.path }));
    before.textContent = each.before;
    after.textContent = each.after;
    values.append(before, " → ", after);
    line.append(path, values);
    return line;
  });
  panel.querySelector("[data-edit-changes]").replaceChildren(...lines);
}

export function complain(sentence) {
  const panel = panelOf("edit");
  if (!panel) return;
  const place = panel.querySelector("[data-edit-problem]");
  place.textContent = sentence;
  panel.querySelector("[type=submit]").disabled = Boolean(sentence);
  panel.querySelector("textarea").setAttribute("aria-invalid", String(Boolean(sentence)));
}

// Asks the server whether these arguments would do: it knows the tool's schema and the policy.
export async function check(panel = panelOf("edit")) {
  const text = panel.querySelector("textarea").value;
  const answer = await post(`${question().dataset.url}try/`, { arguments: text });
  if (!panel.isConnected || panel.querySelector("textarea").value !== text) return false;
  tried = { text, isFit: answer.is_done };
  const problem = answer.is_done ? "" : answer.fields.arguments?.join(" ") ?? answer.sentence;
  complain(problem);
  showChanges(panel, answer.changes ?? []);
  return answer.is_done;
}

export async function isFit(panel) {
  const text = panel.querySelector("textarea").value;
  return tried.text === text ? tried.isFit : check(panel);
}

export function onWritten(event, onTrouble) {
  if (event.target.id !== "edit-arguments") return;
  const panel = panelOf("edit");
  panel.querySelector("[type=submit]").disabled = true;
  clearTimeout(trying);
  trying = setTimeout(() => check(panel).catch(onTrouble), TRY_MS);
}

// --- questions alike ---------------------------------------------------------------------------------

export async function showAlike(button) {
  const panel = panelOf("alike");
  const from = question();
  const answer = await fetch(button.dataset.alike, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (answer.redirected || !answer.ok) throw new Error(gettext("Questions alike cannot be shown now."));
  const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("alike");
  if (question() !== from) return;
  panel.replaceChildren(document.adoptNode(found));
  show("alike");
}

export function chosen() {
  const boxes = [...(panelOf("alike")?.querySelectorAll("[data-item]:checked") ?? [])];
  return boxes.map((box) => ({
    id: box.dataset.item,
    seen: box.dataset.digest,
    title: box.closest("label").textContent.trim(),
  }));
}

export function countChosen() {
  const count = chosen().length;
  for (const place of panelOf("alike").querySelectorAll("[data-many]")) place.textContent = String(count);
  for (const button of panelOf("alike").querySelectorAll('[data-deed="many"]')) button.disabled = count === 0;
}

export const alikeReason = () => document.getElementById("alike-reason")?.value ?? "";
