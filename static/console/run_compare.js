// Two runs side by side: n and p, or the buttons, lead from one difference to the next.

import { isTyping } from "./typing.js";
import { gettext } from "./translated.js";

const steps = [...document.querySelectorAll("[data-difference]")];
const told = document.getElementById("compare-told");
let at = -1;

function move(by) {
  if (!steps.length) return;
  at = at < 0 && by < 0 ? steps.length - 1 : (at + by + steps.length) % steps.length;
  steps[at].focus({ preventScroll: true });
  steps[at].scrollIntoView({ block: "start", behavior: "instant" });
  told.textContent = gettext("Difference %(n)s of %(all)s", { n: at + 1, all: steps.length });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const by = { n: 1, p: -1 }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  move(by);
});

for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => move(Number(button.dataset.step)));
}

for (const step of steps) {
  step.addEventListener("focusin", () => { at = steps.indexOf(step); });
}
