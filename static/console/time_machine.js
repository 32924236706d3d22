// Puts past calls to a draft, one batch after the other, until all of the time was looked at or its
// reader has seen enough. Counts are the server's; examples are added as they come.

import { refreshMoments } from "./moments.js";
import { gettext } from "./translated.js";

const page = document.querySelector("[data-time-machine]");
const problem = document.getElementById("try-problem");
let isStopped = false;
let next = ""; // what was found until now, signed by the server; goes back with the next question

function question() {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", page.querySelector("[name=csrfmiddlewaretoken]").value);
  body.set("days", page.dataset.days);
  body.set("so_far", next);
  return body;
}

function complain(sentence) {
  document.getElementById("try-problem-text").textContent = sentence;
  problem.hidden = false;
}

function show(answer) {
  document.getElementById("try-summary").replaceWith(answer.getElementById("try-summary"));
  for (const example of [...answer.querySelectorAll("[data-into]")]) {
    const section = document.getElementById(example.dataset.into);
    section.querySelector("ol").append(example);
    section.hidden = false;
  }
  refreshMoments(page);
  next = document.getElementById("try-summary").dataset.next;
}

function showStopped() {
  document.querySelector("[data-try-stop]")?.remove();
  page.querySelector("progress")?.remove();
  const word = document.createElement("span");
  word.textContent = "Stopped; earlier calls were not looked at.";
  page.querySelector(".try-progress").append(word);
}

// Returns whether there is more to look at.
async function batch() {
  const answer = await fetch(page.dataset.batch, { method: "POST", body: question() });
  if (answer.redirected || answer.status === 403) {
    complain(gettext("You may not look at these calls any more. Sign in again, or ask for the permissions policy.view, run.view and run.payload."));
    return false;
  }
  if (!answer.ok) throw new Error(`the site answered ${answer.status}`);
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  const refused = found.querySelector("[data-problem]");
  if (refused) {
    complain(refused.textContent);
    next = "";
    return false;
  }
  show(found);
  return next !== "";
}

async function start() {
  problem.hidden = true;
  if (!next) for (const list of page.querySelectorAll(".examples ol")) list.replaceChildren();
  page.setAttribute("aria-busy", "true");
  try {
    while (!isStopped && await batch());
    if (isStopped && next) showStopped();
  } catch (error) {
    complain(gettext("The calls could not all be looked at: %(why)s.", { why: error.message }));
  } finally {
    page.removeAttribute("aria-busy");
  }
}

page?.addEventListener("click", (event) => {
  if (event.target.closest("[data-try-stop]")) isStopped = true;
  else if (event.target.closest("[data-try-again]")) start();
});
if (page) start();
