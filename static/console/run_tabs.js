// The parts of a run's page as tabs; the address remembers which one is open.

const tabs = [...document.querySelectorAll('.run-main [role="tab"]')];
const openers = new Map();

/** Calls `open` whenever the panel comes into sight. */
export function onShow(panel, open) {
  openers.set(panel, [...(openers.get(panel) ?? []), open]);
  if (shownPanel() === panel) open();
}

export function shownPanel() {
  return tabs.find((tab) => tab.getAttribute("aria-selected") === "true").getAttribute("aria-controls");
}

export function show(panel) {
  openTab(tabs.find((tab) => tab.getAttribute("aria-controls") === panel), false);
}

function choose(tab, moveFocus = false) {
  for (const other of tabs) {
    const isChosen = other === tab;
    other.setAttribute("aria-selected", String(isChosen));
    other.tabIndex = isChosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !isChosen;
  }
  if (moveFocus) tab.focus({ preventScroll: true });
  showWhole(tab);
  for (const open of openers.get(tab.getAttribute("aria-controls")) ?? []) open();
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

function openTab(tab, moveFocus) {
  choose(tab, moveFocus);
  history.replaceState(null, "", address(tab));
}

function fromAddress() {
  const [wanted] = location.hash.split("&");
  const tab = tabs.find((other) => address(other) === wanted);
  if (tab) choose(tab);
}

/** A number the address names beside the tab, such as `&at=12`; null without one. */
export function numberInAddress(name) {
  const found = new RegExp(`&${name}=(\\d{1,9})(&|$)`).exec(location.hash);
  return found ? Number(found[1]) : null;
}

export function startTabs() {
  for (const tab of tabs) {
    tab.addEventListener("click", () => openTab(tab, true));
    tab.addEventListener("keydown", (event) => {
      const at = tabs.indexOf(tab);
      const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      openTab(tabs.at(next % tabs.length), true);
    });
  }
  addEventListener("hashchange", fromAddress);
  fromAddress();
}
