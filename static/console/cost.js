// The cost page: figures are renewed while it is open, and arrow keys go through the heat.

import { keepLive } from "./live.js";
import { refreshMoments } from "./moments.js";

const PAUSE_MS = 15_000;
const live = document.querySelector("[data-cost-live]");
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function cellsOf(table) {
  return [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll("[data-cell]")]);
}

function tell(cell) {
  const place = cell.closest(".cost-card")?.querySelector("[data-detail]");
  if (place && place.textContent !== cell.title) place.textContent = cell.title;
}

function goTo(table, cell) {
  for (const other of table.querySelectorAll("[data-cell][tabindex]")) other.removeAttribute("tabindex");
  cell.tabIndex = 0;
  cell.focus();
}

live?.addEventListener("keydown", (event) => {
  const cell = event.target.closest?.("[data-cell]");
  if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
  const table = cell.closest("table");
  const rows = cellsOf(table);
  const row = rows.findIndex((cells) => cells.includes(cell));
  const column = rows[row].indexOf(cell);
  let aim;
  if (event.key in STEPS) {
    const [down, right] = STEPS[event.key];
    aim = rows[row + down]?.[column + right];
  } else if (event.key === "Home") aim = rows[row][0];
  else if (event.key === "End") aim = rows[row].at(-1);
  else return;
  event.preventDefault();
  if (aim) goTo(table, aim);
});
live?.addEventListener("focusin", (event) => {
  const cell = event.target.closest("[data-cell]");
  if (cell) tell(cell);
});
live?.addEventListener("pointerover", (event) => {
  const cell = event.target.closest("[data-cell]");
  if (cell) tell(cell);
});

for (const choice of document.querySelectorAll("[data-submits]")) {
  choice.addEventListener("change", () => choice.form.requestSubmit());
  choice.form.querySelector("[data-scriptless]")?.remove();
}

// Opened tables stay open, and nothing moves under somebody's fingers.
function show(page) {
  if (live.contains(document.activeElement)) return;
  const open = [...live.querySelectorAll("details")].map((each) => each.open);
  live.replaceChildren(...[...page.body.childNodes].map((each) => document.adoptNode(each)));
  [...live.querySelectorAll("details")].forEach((each, place) => { each.open = open[place] ?? false; });
  refreshMoments(live);
}

if (live) keepLive(live.dataset.costLive, PAUSE_MS, show);
