// Text of traces is hostile until it is plain: what a terminal or a reader of two directions would
// obey is taken out or made visible. Nothing here makes markup.

const SEQUENCES = /(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const DIRECTIONS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export const MAX_TEXT = 200_000;

export function plain(value) {
  const text = typeof value === "string" ? value : String(value ?? "");
  return text
    .slice(0, MAX_TEXT)
    .replaceAll("\r\n", "\n")
    .replace(SEQUENCES, "")
    .replace(CONTROLS, "")
    .replace(DIRECTIONS, (found) => `\\u${found.charCodeAt(0).toString(16)}`);
}

export function oneLine(value, width = 160) {
  const text = typeof value === "string" ? value.slice(0, 4 * width) : value;
  const flat = plain(text).split(/\s+/).join(" ").trim();
  return flat.length <= width ? flat : `${flat.slice(0, width - 1)}…`;
}

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

export function bytes(size) {
  if (size < 1024) return `${size} bytes`;
  if (size < 1024 ** 2) return `${(size / 1024).toFixed(1)} KiB`;
  return `${(size / 1024 ** 2).toFixed(1)} MiB`;
}

export function count(number) {
  return new Intl.NumberFormat("en").format(number);
}

export function clockTime(at) {
  if (!Number.isFinite(at)) return "";
  return new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");
}

// A document of bounded size, told without recursion: nesting of any depth is safe.
export function compact(value, limit = 400) {
  const out = [];
  let length = 0;
  const pending = [value];
  while (pending.length && length < limit) {
    const next = pending.pop();
    if (next instanceof Written) {
      out.push(next.text);
      length += next.text.length;
    } else if (next === null || typeof next !== "object") {
      const told = typeof next === "string" ? JSON.stringify(next.slice(0, limit)) : String(next);
      out.push(told);
      length += told.length;
    } else {
      const isList = Array.isArray(next);
      const names = isList ? null : Object.keys(next).slice(0, 60);
      const items = isList ? next.slice(0, 60) : names.map((name) => next[name]);
      out.push(isList ? "[" : "{");
      pending.push(new Written(isList ? "]" : "}"));
      for (let index = items.length - 1; index >= 0; index -= 1) {
        pending.push(items[index]);
        if (!isList) pending.push(new Written(`${JSON.stringify(names[index])}: `));
        if (index) pending.push(new Written(", "));
      }
    }
  }
  const told = out.join("");
  return told.length > limit || pending.length ? `${told.slice(0, limit)}…` : told;
}

class Written {
  constructor(text) {
    this.text = text;
  }
}
