// The debugger of a run. What it shows comes with the page and is refreshed with it; its buttons
// speak REST and name the version they were shown with, so that of two people one wins.

import { isTyping } from "./typing.js";
import { gettext } from "./translated.js";

const told = document.getElementById("debugger-told");
const editor = document.getElementById("debugger-edit");
const settings = document.getElementById("debugger-settings");
const text = document.getElementById("debugger-text");
const value = document.getElementById("debugger-value");
const list = document.getElementById("debugger-points");
const hints = { tool: "bash, file_*", agent: "writer, review-*", cost: "0.50", text: "password" };
const words = {
  arguments: {
    label: "Arguments, a JSON object",
    help: gettext("They have to fit the tool's schema. Policy judges the call anew; an approval of the old arguments does not hold."),
  },
  message: { label: gettext("Text"), help: gettext("The model sees this instead. What was there before stays in the record.") },
  added: { label: gettext("Message to the model"), help: gettext("It is added behind what the model has seen, and kept as yours.") },
};
let edited = null;
let seen = 0; // the version that an open sheet shows; the panel behind it goes on
let busy = false;
let before = "";

function panel() {
  return document.querySelector("[data-debugger]");
}

function say(place, sentence) {
  place.textContent = sentence;
  place.hidden = !sentence;
}

// --- asking the server -------------------------------------------------------------------------------

// `arguments`, as text, go as they were written: numbers of a page are less exact than those of JSON.
function written({ arguments: given, ...rest }) {
  const told = JSON.stringify(rest);
  return given === undefined ? told : `${told.slice(0, -1)},"arguments":${given}}`;
}

function version() {
  return Number(panel().dataset.version);
}

async function ask(method, path, body) {
  const answer = await fetch(panel().dataset.debugger + path, {
    method,
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": document.querySelector("#deeds [name=csrfmiddlewaretoken]").value,
    },
    body: written({ version: version(), ...body }),
  });
  if (answer.ok) return "";
  const problem = await answer.json();
  const fields = Object.values(problem.errors ?? {}).flat();
  const said = [problem.detail, ...fields.filter((each) => !problem.detail.includes(each)), problem.remedy];
  return said.filter(Boolean).join("\n");
}

// Sends one request at a time; says in `place` what was wrong with it. True: it was done.
async function send(place, method, path, body) {
  if (busy || !panel()) return false;
  busy = true;
  say(place, "");
  try {
    const complaint = await ask(method, path, body);
    say(place, complaint);
    return !complaint;
  } catch {
    say(place, gettext("The server cannot be reached. Nothing was changed, as far as this page knows."));
    return false;
  } finally {
    busy = false;
  }
}

function points() {
  return [...panel().querySelectorAll(".debugger-point")].map(({ dataset: { kind, value: at } }) => ({ kind, value: at }));
}

// --- the editor -----------------------------------------------------------------------------------------

function openEditor(kind, button) {
  edited = { kind, call: button.dataset.call, position: Number(button.dataset.position) };
  seen = version();
  const name = button.dataset.name ?? "";
  const titles = { arguments: gettext("Arguments of %(name)s", { name }), message: gettext("Change %(name)s", { name }), added: gettext("Say something") };
  document.getElementById("debugger-edit-title").textContent = titles[kind];
  document.getElementById("debugger-text-label").textContent = words[kind].label;
  document.getElementById("debugger-edit-help").textContent = words[kind].help;
  text.value = button.dataset.value ?? "";
  say(document.getElementById("debugger-edit-error"), "");
  editor.showModal();
  text.focus();
}

async function save() {
  const place = document.getElementById("debugger-edit-error");
  const body = { version: seen, kind: edited.kind };
  if (edited.kind === "arguments") {
    body.call = edited.call;
    try {
      JSON.parse(text.value);
      body.arguments = text.value;
    } catch (error) {
      say(place, gettext("This is not JSON: %(why)s", { why: error.message }));
      text.focus();
      return;
    }
  } else {
    body.text = text.value;
    if (edited.kind === "message") body.position = edited.position;
  }
  if (await send(place, "POST", "edits", body)) editor.close();
  else text.focus();
}

// --- step mode and breakpoints -----------------------------------------------------------------------------

function openSettings() {
  seen = version();
  document.getElementById("debugger-step").value = panel().dataset.step;
  document.getElementById("debugger-tree").checked = panel().dataset.scope === "tree";
  list.replaceChildren(...points().map(chip));
  value.value = "";
  say(document.getElementById("debugger-settings-error"), "");
  settings.showModal();
}

function chip(point) {
  const item = document.createElement("li");
  const out = document.createElement("button");
  item.dataset.kind = point.kind;
  item.dataset.value = point.value;
  out.type = "button";
  out.textContent = "×";
  out.setAttribute("aria-label", `Take out ${point.kind}:${point.value}`);
  out.addEventListener("click", () => {
    item.remove();
    value.focus();
  });
  item.append(`${point.kind}:${point.value}`, out);
  return item;
}

function addPoint() {
  const given = value.value.trim();
  if (!given) return value.focus();
  list.append(chip({ kind: document.getElementById("debugger-kind").value, value: given }));
  value.value = "";
  value.focus();
}

async function apply() {
  addPoint();
  const done = await send(document.getElementById("debugger-settings-error"), "PUT", "debug", {
    version: seen,
    step: document.getElementById("debugger-step").value,
    scope: document.getElementById("debugger-tree").checked ? "tree" : "run",
    breakpoints: [...list.children].map(({ dataset: { kind, value: at } }) => ({ kind, value: at })),
  });
  if (done) settings.close();
}

// --- what was pressed -----------------------------------------------------------------------------------------

const deeds = {
  step: () => send(told, "POST", "step", {}),
  continue: () => send(told, "POST", "continue", {}),
  hold: () => send(told, "PUT", "debug", { step: "both", scope: panel().dataset.scope, breakpoints: points() }),
  settings: openSettings,
  arguments: (button) => openEditor("arguments", button),
  message: (button) => openEditor("message", button),
  added: (button) => openEditor("added", button),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-debug]");
  if (button) deeds[button.dataset.debug](button);
});

document.addEventListener("keydown", (event) => {
  const isChord = before === "g"; // the console's own keys to go places, such as g c
  before = event.key;
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (isChord || document.querySelector("dialog[open]")) return;
  const name = { s: "step", c: "continue" }[event.key];
  const button = name && document.querySelector(`[data-debug="${name}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
});

value.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  addPoint();
});
document.getElementById("debugger-kind").addEventListener("change", (event) => {
  value.placeholder = hints[event.target.value];
});
document.getElementById("debugger-add").addEventListener("click", addPoint);
document.getElementById("debugger-apply").addEventListener("click", apply);
document.getElementById("debugger-save").addEventListener("click", save);
