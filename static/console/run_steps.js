// What each model call cost: tokens, dollars, time, and the sum so far.

import { goTo } from "./run_conversation.js";
import { Rows } from "./run_rows.js";
import { onShow, shownPanel } from "./run_tabs.js";
import { count, duration, element, money } from "./words.js";
import { gettext } from "./translated.js";

const WIDE_ROW_PX = 34;
const NARROW_ROW_PX = 54;
const narrow = matchMedia("(max-width: 720px)");
const place = document.getElementById("steps-rows");
const told = document.getElementById("steps-told");
const totals = document.getElementById("steps-totals");

let trail;
let rows;
let known = 0;
let list = [];
let sum = { tokensIn: 0, tokensOut: 0, cost: 0, isFloor: false, took: 0, dearest: 0 };

// Only what is new is added up: a long run is not gone through again with each of its events.
function addUp() {
  const { marks, dropped } = trail;
  for (let index = Math.max(known - dropped, 0); index < marks.length; index += 1) {
    const mark = marks[index];
    if (mark.kind !== "step.model") continue;
    const isPriced = mark.cost !== undefined && mark.cost !== null;
    const cost = isPriced ? Number(mark.cost) : 0;
    sum = {
      tokensIn: sum.tokensIn + (mark.tokens_in ?? 0),
      tokensOut: sum.tokensOut + (mark.tokens_out ?? 0),
      cost: sum.cost + cost,
      isFloor: sum.isFloor || !isPriced,
      took: sum.took + (mark.took ?? 0),
      dearest: Math.max(sum.dearest, cost),
    };
    list.push({ key: `s${mark.n}`, number: list.length + 1, mark, isPriced, cost, soFar: sum.cost, isFloor: sum.isFloor });
  }
  known = dropped + marks.length;
}

function floor(isFloor, usd) {
  return `${isFloor ? "≥ " : ""}${money(usd)}`;
}

function refresh() {
  if (shownPanel() !== "steps") return;
  addUp();
  place.hidden = !list.length;
  document.getElementById("steps-empty").hidden = list.length > 0 || !trail.isWhole;
  told.hidden = list.length > 0 || trail.isWhole;
  if (trail.refused) told.textContent = trail.refused;
  rows.show(list, { follows: trail.isLive });
  const figures = [
    [gettext("Model calls"), count(list.length)], [gettext("Tokens in"), count(sum.tokensIn)], [gettext("Tokens out"), count(sum.tokensOut)],
    [gettext("Cost"), floor(sum.isFloor, sum.cost)], [gettext("Time in models"), duration(sum.took)],
  ];
  totals.hidden = !list.length;
  document.getElementById("steps-head").hidden = !list.length;
  totals.replaceChildren(...figures.map(([name, value]) => {
    const made = element("div", "step-total");
    made.append(element("span", "quiet", name), element("strong", "", value));
    return made;
  }));
  if (sum.isFloor) totals.append(element("p", "quiet", gettext("Some calls had no known price: the cost is a floor.")));
}

function draw(button, item) {
  const { mark } = item;
  const share = element("span", "step-share");
  const fillIn = share.appendChild(element("span", "step-fill"));
  share.hidden = !sum.dearest;
  fillIn.style.width = `${sum.dearest ? (item.cost / sum.dearest) * 100 : 0}%`;
  const cached = mark.tokens_cached ? ` (${count(mark.tokens_cached)} cached)` : "";
  button.replaceChildren(
    element("span", "number quiet step-number", String(item.number)),
    element("span", "step-model", mark.model || "model"),
    element("span", "quiet step-asks", mark.tools?.length ? `asks for ${mark.tools.join(", ")}` : "answers"),
    element("span", "number step-tokens", `${count(mark.tokens_in ?? 0)}${cached} in · ${count(mark.tokens_out ?? 0)} out`),
    share,
    element("span", "number step-cost", item.isPriced ? money(item.cost) : "unknown"),
    element("span", "number quiet step-sum", floor(item.isFloor, item.soFar)),
    element("span", "number quiet step-took", duration(mark.took ?? 0)),
  );
  button.setAttribute("aria-label", `Model call ${item.number}, ${mark.model ?? ""}, ${count(mark.tokens_in ?? 0)} tokens in, ${count(mark.tokens_out ?? 0)} out, cost ${item.isPriced ? money(item.cost) : "unknown"}, so far ${floor(item.isFloor, item.soFar)}`);
}

function setHeights() {
  rows.setRowHeight(narrow.matches ? NARROW_ROW_PX : WIDE_ROW_PX);
}

export function startSteps(given) {
  trail = given;
  rows = new Rows(place, {
    rowHeight: WIDE_ROW_PX,
    draw,
    open: (item) => item.mark.position >= 0 && goTo(item.mark.position),
  });
  narrow.addEventListener("change", setHeights);
  setHeights();
  trail.onChange(refresh);
  onShow("steps", () => {
    trail.load();
    refresh();
  });
}
