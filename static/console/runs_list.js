// The list of runs: the next rows come while one scrolls, rows far away are let go, rows are chosen.

import { refreshMoments } from "./moments.js";
import { isTyping } from "./typing.js";
import { gettext, ngettext } from "./translated.js";

const KEPT_BODIES = 8; // of 50 rows each; others are only as high as they were
const NEAR = "900px";

const table = document.getElementById("result_list");
const form = document.getElementById("runs-form");
const chosen = new Set();
let anchor = null; // where a range begins

// --- rows ---------------------------------------------------------------------------------------

async function fetchBody(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error(`The list answered ${answer.status}.`);
  const holder = document.createElement("table");
  holder.innerHTML = await answer.text();
  const body = holder.querySelector("tbody");
  markChosen(body);
  refreshMoments(body);
  return body;
}

let isFetching = false;

async function fetchNext() {
  const last = table.tBodies[table.tBodies.length - 1];
  if (isFetching || !last.dataset.next) return;
  isFetching = true;
  try {
    const body = await fetchBody(last.dataset.next);
    table.append(body);
    near.observe(body);
    if (!body.dataset.next) document.getElementById("runs-next")?.remove();
    letGo();
    // Asked anew where the end is: whoever goes there at once is seen neither to leave nor to come.
    atEnd.unobserve(foot);
    atEnd.observe(foot);
  } catch {
    sayProblem();
  } finally {
    isFetching = false;
  }
}

function sayProblem() {
  // The link to the next page stays, and says so.
  const link = document.getElementById("runs-next");
  if (link) link.textContent = gettext("More could not be read; open the next page");
}

// Keeps the tab's memory bounded: of the bodies, only those nearest to what is seen keep their rows.
// Nothing goes from under somebody's eyes or fingers, whatever comes at the other end.
const inSight = new Set();

function letGo() {
  const bodies = [...table.tBodies];
  const seen = [...inSight].map((body) => bodies.indexOf(body));
  const distance = (body) => Math.min(...seen.map((place) => Math.abs(bodies.indexOf(body) - place)));
  const filled = bodies.filter((body) => body.rows.length);
  const far = filled.filter((body) => !inSight.has(body) && !body.contains(document.activeElement));
  far.sort((one, other) => distance(other) - distance(one));
  for (const body of far.slice(0, Math.max(0, filled.length - KEPT_BODIES))) {
    const height = body.getBoundingClientRect().height;
    body.replaceChildren();
    body.style.display = "block";
    body.style.height = `${height}px`;
  }
}

async function fillAgain(body) {
  if (body.dataset.filling) return;
  body.dataset.filling = "yes";
  try {
    const found = await fetchBody(body.dataset.here);
    body.replaceChildren(...found.rows);
    body.style.display = "";
    body.style.height = "";
    letGo();
  } catch {
    sayProblem();
  } finally {
    delete body.dataset.filling;
  }
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) inSight.add(entry.target);
    else inSight.delete(entry.target);
  }
  for (const body of inSight) if (!body.rows.length) fillAgain(body);
  letGo();
}, { rootMargin: NEAR });

const foot = document.getElementById("runs-foot");
const atEnd = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) fetchNext();
}, { rootMargin: NEAR });

// --- choosing -----------------------------------------------------------------------------------

const rows = () => [...table.querySelectorAll("tbody tr")];
const boxOf = (row) => row.querySelector(".action-select");

function markChosen(scope) {
  for (const row of scope.querySelectorAll("tr[data-run]")) {
    const box = boxOf(row);
    if (box) box.checked = chosen.has(row.dataset.run);
  }
}

function choose(row, isChosen) {
  if (isChosen) chosen.add(row.dataset.run);
  else chosen.delete(row.dataset.run);
  boxOf(row).checked = isChosen;
}

function showChosen() {
  form.toggleAttribute("data-chosen", chosen.size > 0);
  const words = document.getElementById("chosen-count");
  if (words) words.textContent = ngettext("%(n)s chosen", "%(n)s chosen", chosen.size);
}

// From the row where choosing began to this one, as the first one is.
function chooseRange(row) {
  const all = rows();
  const from = all.findIndex((each) => each.dataset.run === anchor);
  const to = all.indexOf(row);
  if (from < 0) return;
  const isChosen = chosen.has(anchor);
  for (const each of all.slice(Math.min(from, to), Math.max(from, to) + 1)) choose(each, isChosen);
}

function toggle(row, isRange) {
  if (isRange && anchor !== null) chooseRange(row);
  else {
    choose(row, !chosen.has(row.dataset.run));
    anchor = row.dataset.run;
  }
  showChosen();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (isTyping(event.target)) return;
  if (event.key !== "x" && event.key !== "X") return;
  const row = table.querySelector("tr.is-at");
  if (!row || !boxOf(row)) return;
  event.preventDefault();
  toggle(row, event.key === "X");
}

function onClick(event) {
  const box = event.target.closest(".action-select");
  if (!box) return;
  const row = box.closest("tr");
  if (event.shiftKey && anchor !== null) chooseRange(row);
  else {
    choose(row, box.checked);
    anchor = row.dataset.run;
  }
  showChosen();
}

// Chosen rows may have been let go: the form says them all the same.
function onSubmit() {
  for (const left of form.querySelectorAll("input[data-of-script]")) left.remove();
  const shown = new Set(rows().map((row) => row.dataset.run));
  for (const run of chosen) {
    if (shown.has(run)) continue;
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: "_selected_action", value: run });
    field.dataset.ofScript = "yes";
    form.append(field);
  }
}

function setUp() {
  for (const body of table.tBodies) near.observe(body);
  atEnd.observe(foot);
  document.addEventListener("keydown", onKey);
  table.addEventListener("click", onClick);
  form.addEventListener("submit", onSubmit);
  for (const row of rows()) {
    if (boxOf(row)?.checked) chosen.add(row.dataset.run); // the browser kept them
  }
  const all = document.getElementById("choose-all");
  const none = document.getElementById("choose-none");
  if (!all) return;
  all.hidden = false;
  none.hidden = false;
  all.addEventListener("change", () => {
    for (const row of rows()) choose(row, all.checked);
    showChosen();
  });
  none.addEventListener("click", () => {
    chosen.clear();
    all.checked = false;
    markChosen(table);
    showChosen();
  });
  showChosen();
}

// Menus close when one goes elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Fields that are left empty do not make the address longer.
document.getElementById("changelist-search").addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) {
    if (value === "") event.formData.delete(name);
  }
});

if (table) setUp();
