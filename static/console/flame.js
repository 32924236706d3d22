// One profile: waits until it is done, then draws its flamegraph. Frames are buttons: click or Enter
// makes one as wide as the page, arrows go up, down and to the sides, Escape widens again.

import { children, fits, hottest, labelOf, matching, treeOf } from "./flame_tree.js";
import { element } from "./words.js";
import { gettext } from "./translated.js";

const ROW = 22;
const LEAST_SHARE = 0.0012; // thinner frames are not drawn until somebody comes nearer
const MOST_FRAMES = 4_000;
const HOT = 15;
const PAUSE_MS = 1_000;

class Flame {
  constructor(box, text, rate) {
    this.root = treeOf(text);
    this.rate = rate;
    this.at = this.root;
    this.wanted = "";
    this.nodes = [];
    this.buttons = new Map();
    this.search = element("input");
    this.search.type = "search";
    this.search.placeholder = gettext("Search functions and files");
    this.search.setAttribute("aria-label", gettext("Search functions and files"));
    this.search.addEventListener("input", () => {
      this.wanted = this.search.value.trim().toLowerCase();
      this.draw();
    });
    this.wider = element("button", "button", gettext("Show all"));
    this.wider.type = "button";
    this.wider.addEventListener("click", () => this.zoom(this.root));
    this.found = element("span", "flame-found");
    this.found.setAttribute("role", "status");
    const legend = element("div", "flame-legend");
    for (const [kind, word] of [["ours", gettext("this project")], ["other", gettext("libraries")], ["machinery", gettext("threads and loops")]]) legend.append(element("span", `is-${kind}`, word));
    const tools = element("div", "flame-tools");
    tools.append(this.search, this.wider, this.found, legend);
    this.canvas = element("div", "flame");
    this.canvas.setAttribute("role", "group");
    this.canvas.setAttribute("aria-label", gettext("Flamegraph: callers above, callees below, as wide as their share of the samples"));
    this.about = element("p", "flame-about");
    this.about.setAttribute("role", "status");
    const card = element("div", "card flame-box");
    card.append(this.canvas, this.about);
    box.replaceChildren(tools, card, this.table());
    this.canvas.addEventListener("click", (event) => this.onClick(event));
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("focusin", (event) => this.tell(this.nodeOf(event.target)));
    this.canvas.addEventListener("mouseover", (event) => this.tell(this.nodeOf(event.target)));
    this.draw();
    this.tell(this.root);
  }

  nodeOf(target) {
    return this.nodes[Number(target.closest?.("[data-node]")?.dataset.node)];
  }

  draw() {
    const focused = this.nodeOf(document.activeElement ?? document.body);
    this.nodes = [];
    this.buttons.clear();
    const above = [];
    for (let node = this.at.above; node; node = node.above) above.unshift(node);
    for (const node of above) this.add(node, 0, 1, true);
    let level = [[this.at, 0]];
    while (level.length && this.nodes.length < MOST_FRAMES) {
      const next = [];
      for (const [node, left] of level) {
        const width = node.total / this.at.total;
        if (width < LEAST_SHARE) continue;
        this.add(node, left, width, false);
        let from = left;
        for (const below of children(node)) {
          next.push([below, from]);
          from += below.total / this.at.total;
        }
      }
      level = next;
    }
    this.canvas.replaceChildren(...this.buttons.values());
    const deepest = Math.max(...this.nodes.map((node) => node.depth));
    this.canvas.style.height = `${(deepest + 1) * ROW}px`;
    this.wider.hidden = this.at === this.root;
    this.found.textContent = this.wanted ? gettext("%(share)s of all samples go through “%(wanted)s”", { share: share(matching(this.root, this.wanted), this.root.total), wanted: this.search.value.trim() }) : "";
    const entry = this.buttons.get(focused) ?? this.buttons.get(this.at);
    entry.tabIndex = 0;
    if (focused) entry.focus({ preventScroll: true });
  }

  add(node, left, width, isAbove) {
    const name = this.wanted && fits(node, this.wanted) ? " is-found" : "";
    const button = element("button", `flame-frame is-${node.kind}${name}${isAbove ? " is-faint" : ""}`, width > 0.02 ? labelOf(node) : "");
    button.type = "button";
    button.tabIndex = -1;
    button.dataset.node = this.nodes.length;
    button.setAttribute("aria-label", `${labelOf(node)}, ${share(node.total, this.root.total)}`);
    button.style.left = `${left * 100}%`;
    button.style.width = `${width * 100}%`;
    button.style.top = `${node.depth * ROW}px`;
    button.style.setProperty("--shade", String((node.name.length * 7 + node.depth * 3) % 20));
    this.nodes.push(node);
    this.buttons.set(node, button);
  }

  zoom(node) {
    this.at = node;
    this.draw();
    this.buttons.get(node).focus({ preventScroll: true });
    this.tell(node);
  }

  tell(node) {
    if (!node) return;
    const name = element("strong", "", labelOf(node));
    const own = node.own ? gettext(", %(share)s in itself", { share: share(node.own, this.root.total) }) : "";
    this.about.replaceChildren(name, ` · ${gettext("%(share)s of all samples%(own)s · %(seconds)s s of a thread's time", { share: share(node.total, this.root.total), own, seconds: (node.total / this.rate).toFixed(2) })}`);
  }

  onClick(event) {
    const node = this.nodeOf(event.target);
    if (node) this.zoom(node);
  }

  onKey(event) {
    const node = this.nodeOf(event.target);
    if (!node) return;
    const beside = (step) => {
      const row = this.nodes.filter((each) => each.depth === node.depth);
      return row[row.indexOf(node) + step];
    };
    const ways = {
      ArrowUp: () => node.above,
      ArrowDown: () => children(node).find((each) => this.buttons.has(each)),
      ArrowLeft: () => beside(-1),
      ArrowRight: () => beside(1),
    };
    if (event.key === "Escape" && this.at !== this.root) {
      event.preventDefault();
      event.stopPropagation();
      this.zoom(this.root);
    } else if (Object.hasOwn(ways, event.key)) {
      event.preventDefault();
      const to = this.buttons.get(ways[event.key]());
      if (!to) return;
      this.buttons.get(node).tabIndex = -1;
      to.tabIndex = 0;
      to.focus({ preventScroll: true });
    }
  }

  table() {
    const box = element("section", "card table-box hot");
    const head = element("div", "card-head");
    head.append(element("h2", "", gettext("Functions that took the most themselves")));
    const table = element("table", "plain");
    const titles = table.createTHead().insertRow();
    for (const [title, name] of [[gettext("Function"), ""], [gettext("Itself"), "number"], [gettext("With what it calls"), "number"]]) {
      const cell = element("th", name, title);
      cell.scope = "col";
      titles.append(cell);
    }
    const body = table.createTBody();
    for (const each of hottest(this.root, HOT)) {
      const row = body.insertRow();
      const first = element("th");
      first.scope = "row";
      first.append(element("code", "", each.name));
      row.append(first, element("td", "number", share(each.own, this.root.total)), element("td", "number", share(each.total, this.root.total)));
    }
    box.append(head, table);
    return box;
  }
}

function share(part, whole) {
  return `${((100 * part) / Math.max(whole, 1)).toFixed(1)} %`;
}

async function show(box) {
  const answer = await fetch(box.dataset.stacks);
  if (!answer.ok || answer.redirected) throw new Error(`the site answered ${answer.status}`);
  new Flame(box, await answer.text(), Number(box.dataset.rate));
}

function complain(box, error) {
  const notice = element("p", "notice error", gettext("The flamegraph could not be drawn: %(problem)s. Load the page again, or download the stacks.", { problem: error.message }));
  notice.setAttribute("role", "alert");
  box.replaceChildren(notice);
}

// The page is loaded again when the profile has ended; until then only the bar is renewed.
async function wait(part) {
  const bar = part.querySelector("progress");
  for (;;) {
    await new Promise((done) => setTimeout(done, PAUSE_MS));
    const answer = await fetch(location.href).catch(() => null);
    if (!answer) continue; // the site is away for a moment
    if (answer.redirected || !answer.ok) return location.reload();
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-profile-wait] progress");
    if (!found) return location.reload();
    bar.value = found.value;
  }
}

const box = document.getElementById("flame");
if (box) show(box).catch((error) => complain(box, error));
const waiting = document.querySelector("[data-profile-wait]");
if (waiting) wait(waiting);
