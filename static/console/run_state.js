// A checkpoint to look into: what the engine remembers, and the files as they were.

import { jsonView } from "./run_json.js";
import { addressOf, ask, refreshParts } from "./run_live.js";
import { onShow } from "./run_tabs.js";
import { closeButton, count, element } from "./words.js";
import { gettext, ngettext } from "./translated.js";

const PICTURE = /\.(png|jpe?g|gif|webp)$/i;
const MAX_SHOWN = 100_000; // characters of a file

const place = document.getElementById("state-detail");

async function inspect(number) {
  place.hidden = false;
  place.replaceChildren(element("p", "quiet", "…"));
  try {
    fill(await (await ask(addressOf(`state/${number}/`))).json());
  } catch (error) {
    place.replaceChildren(element("p", "quiet", error.message));
  }
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest" });
}

function fill(state) {
  const head = element("div", "inspector-head");
  const close = closeButton(() => { place.hidden = true; });
  head.append(element("h2", "", gettext("Checkpoint %(n)s", { n: state.sequence })), element("span", "quiet", ngettext("%(n)s message of the history belongs to it", "%(n)s messages of the history belong to it", state.messages)), close);
  const files = element("div", "files");
  files.append(element("h3", "inspector-part", gettext("Files")));
  if (state.files.length) files.append(fileList(state));
  else files.append(element("p", "quiet", state.files_note || gettext("The workspace is empty.")));
  if (state.has_more_files) files.append(element("p", "quiet", gettext("Only the first %(n)s are shown.", { n: state.files.length })));
  place.replaceChildren(head, jsonView(state.engine, { label: gettext("Engine"), cut: state.cut }), files);
}

function fileList(state) {
  const list = element("ul", "file-list");
  for (const file of state.files) {
    const line = list.appendChild(element("li"));
    line.append(element("code", "file-mode quiet", file.mode));
    if (file.kind !== "file") {
      line.append(element("span", "quiet", `${file.path}${file.kind === "folder" ? "/" : ` → ${file.target}`}`));
      continue;
    }
    const button = element("button", "link-button", file.path);
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => toggleFile(line, button, `${state.file_url}?path=${encodeURIComponent(file.path)}`, file));
    line.append(button, element("span", "number quiet", `${count(file.size_bytes)} B`));
  }
  return list;
}

async function toggleFile(line, button, url, file) {
  const shown = line.querySelector(".file-content");
  button.setAttribute("aria-expanded", String(!shown));
  if (shown) return shown.remove();
  const content = line.appendChild(element("div", "file-content"));
  if (PICTURE.test(file.path)) {
    const picture = element("img");
    picture.src = url;
    picture.alt = file.path;
    content.append(picture);
    return;
  }
  try {
    const text = await (await ask(url, { Accept: "text/plain" })).text();
    const block = element("pre", "block", text.slice(0, MAX_SHOWN) || gettext("The file is empty."));
    block.tabIndex = 0;
    content.append(block);
    if (text.length > MAX_SHOWN) content.append(element("p", "quiet", gettext("The first %(n)s of %(all)s characters.", { n: count(MAX_SHOWN), all: count(text.length) })));
  } catch (error) {
    content.append(element("p", "quiet", error.message));
  }
}

export function startState() {
  document.getElementById("checkpoints").addEventListener("click", (event) => {
    const button = event.target.closest("[data-inspect]");
    if (button) inspect(button.dataset.inspect);
  });
  // A run that had ended came with all its checkpoints; one that ended since did not.
  let isWhole = document.getElementById("run-head").dataset.liveRun !== "yes";
  onShow("checkpoints", () => {
    if (!isWhole) refreshParts();
    isWhole = false;
  });
}
