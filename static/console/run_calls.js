// The tool log: every call of a run in order, and one of them with all that is known of it.

import { differenceView, jsonView } from "./run_json.js";
import { addressOf, ask } from "./run_live.js";
import { goTo } from "./run_conversation.js";
import { Rows } from "./run_rows.js";
import { onShow, show, shownPanel } from "./run_tabs.js";
import { closeButton, duration, element, pill } from "./words.js";
import { gettext } from "./translated.js";

const WIDE_ROW_PX = 38;
const NARROW_ROW_PX = 58;
const narrow = matchMedia("(max-width: 720px)");
const place = document.getElementById("calls-rows");
const detail = document.getElementById("calls-detail");
const search = document.getElementById("calls-search");
const told = document.getElementById("calls-told");

let trail;
let rows;
let chosen = "";

function items() {
  const word = search.value.trim().toLowerCase();
  return trail.spans.filter((span) => span.kind === "tool" && (!word || `${span.title} ${span.state}`.toLowerCase().includes(word)));
}

function refresh() {
  if (shownPanel() !== "calls") return;
  const found = items();
  rows.show(found, { follows: trail.isLive });
  place.hidden = !found.length;
  document.getElementById("calls-empty").hidden = !trail.isWhole || search.value !== "" || found.length > 0;
  const words = trail.refused || (search.value ? gettext("%(n)s found", { n: found.length }) : trail.isWhole ? "" : gettext("Reading the trace…"));
  if (told.textContent !== words) told.textContent = words;
}

function draw(button, span) {
  const dispatched = span.segments.find((piece) => piece.state === "dispatched");
  const took = span.to === null || !dispatched ? "" : duration(span.to - dispatched.from);
  const name = element("code", "call-name", span.title);
  const parts = [pill(span.state), name];
  if (span.mark.is_unprotected) parts.push(unprotected());
  parts.push(
    element("span", "quiet call-effect", span.effect ?? ""),
    element("span", "quiet call-attempt", span.attempt > 1 ? gettext("attempt %(n)s", { n: span.attempt }) : ""),
    element("span", "number call-took", took),
    element("span", "number quiet call-after", `+${duration(Math.max(span.from - trail.begin, 0))}`),
  );
  button.classList.toggle("is-chosen", span.call === chosen);
  button.replaceChildren(...parts);
}

function unprotected() {
  const made = pill("unprotected");
  made.querySelector(".pill-word").textContent = gettext("no sandbox");
  return made;
}

// --- one call ----------------------------------------------------------------------------------------

function callUrl(id) {
  return addressOf(`call/${id}/`);
}

/** Opens the log at a call. */
export async function showCall(id) {
  show("calls");
  chosen = id;
  const index = items().findIndex((span) => span.call === id);
  if (index >= 0) rows.moveTo(index, { focus: false });
  rows.redraw();
  detail.hidden = false;
  detail.replaceChildren(element("p", "quiet", "…"));
  try {
    const call = await (await ask(callUrl(id))).json();
    if (chosen === id) fill(call);
  } catch (error) {
    detail.replaceChildren(element("p", "quiet", error.message));
  }
  detail.focus({ preventScroll: true });
  detail.scrollIntoView({ block: "nearest" });
}

function fill(call) {
  const head = element("div", "inspector-head");
  head.append(element("h2", "", call.tool), pill(call.state));
  if (call.is_unprotected) head.append(unprotected());
  const links = element("div", "buttons");
  const ledger = element("a", "button small", gettext("Entry in the ledger"));
  ledger.href = call.url;
  const said = element("button", "button small", gettext("In the conversation"));
  said.type = "button";
  said.addEventListener("click", () => goTo(call.position));
  links.append(said, ledger, closeButton(closeDetail));
  head.append(links);
  const parts = [head];
  if (call.reason) parts.push(element("p", call.is_error ? "notice error" : "notice", call.reason));
  if (call.edit) parts.push(...edited(call.edit));
  for (const change of call.changes) parts.push(...changed(change));
  for (const image of call.images) parts.push(picture(image));
  const url = callUrl(call.id);
  parts.push(jsonView(call.arguments, { label: gettext("Arguments"), cut: call.cut, root: "/arguments", url }));
  if (call.result !== "") parts.push(jsonView(call.result, { label: call.is_error ? gettext("Error") : gettext("Result"), cut: call.cut, root: "/result", url }));
  detail.replaceChildren(...parts);
}

function edited(edit) {
  const head = element("h3", "inspector-part", gettext("Arguments as %(name)s changed them", { name: edit.by || gettext("an approver") }));
  const link = element("a", "", gettext("the decision"));
  link.href = edit.url;
  const line = element("p", "quiet");
  line.append(gettext("Asked for by the model, approved otherwise: "), link);
  return [head, line, differenceView(edit.lines, gettext("Changed arguments"))];
}

function changed(change) {
  const head = element("h3", "inspector-part");
  head.append(element("code", "", change.path), element("span", "quiet", ` ${change.note}`));
  if (!change.lines.length) return [head, element("p", "quiet", gettext("The same as before."))];
  const parts = [head, differenceView(change.lines, gettext("Changes of %(path)s", { path: change.path }))];
  if (change.is_cut) parts.push(element("p", "quiet", gettext("It is longer than what is shown.")));
  return parts;
}

function picture(image) {
  const figure = element("figure", "picture");
  const shown = element("img");
  shown.src = image.url;
  shown.alt = image.path;
  shown.loading = "lazy";
  shown.addEventListener("error", () => figure.replaceChildren(element("p", "quiet", `${image.path} is no picture, or not kept.`)));
  figure.append(shown, element("figcaption", "quiet", image.path));
  return figure;
}

function closeDetail() {
  detail.hidden = true;
  chosen = "";
  rows.redraw();
  if (rows.at >= 0) rows.moveTo(rows.at);
}

function setHeights() {
  rows.setRowHeight(narrow.matches ? NARROW_ROW_PX : WIDE_ROW_PX);
}

export function startCalls(given) {
  trail = given;
  rows = new Rows(place, { rowHeight: WIDE_ROW_PX, draw, open: (span) => showCall(span.call) });
  narrow.addEventListener("change", setHeights);
  setHeights();
  search.addEventListener("input", refresh);
  detail.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.target.closest("input")) closeDetail();
  });
  document.getElementById("conversation").addEventListener("click", (event) => {
    const button = event.target.closest("[data-call]");
    if (button) showCall(button.dataset.call);
  });
  trail.onChange(refresh);
  onShow("calls", () => {
    trail.load();
    refresh();
  });
}
