// The stand-alone file: the same viewer without a server; a trace may lie in the file itself.

import { iconButton } from "./dom.js";
import { Viewer } from "./viewer.js";

const MOST_BYTES = 512 * 1024 * 1024;

async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const pieces = [];
  let size = 0;
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return new Blob(pieces);
    size += value.length;
    if (size > MOST_BYTES) throw new Error("the trace in this file is larger than 512 MiB");
    pieces.push(value);
  }
}

async function start() {
  const root = document.getElementById("trace-viewer");
  const viewer = new Viewer(root);
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  document.getElementById("tv-tools").append(iconButton("theme", "Light or dark", () => {
    const { dataset } = document.documentElement;
    dataset.theme = dataset.theme === "dark" ? "light" : "dark";
  }));
  const inside = document.getElementById("tv-trace");
  if (!inside) return;
  try {
    await viewer.open(await unpacked(inside.textContent.trim()), inside.dataset.name);
  } catch (error) {
    viewer.complain(`The trace in this file could not be read: ${error.message}.`);
    throw error;
  }
}

start();
