// Elements from code: text is always text, and nothing is ever parsed as markup.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Paths in a square of 24, drawn with lines.
const ICONS = new Map([
  ["play", "M7 4.5v15l12-7.5z"],
  ["pause", "M8 5v14M16 5v14"],
  ["first", "M6 5v14M18 5l-9 7 9 7z"],
  ["last", "M18 5v14M6 5l9 7-9 7z"],
  ["back", "M15 5l-8 7 8 7"],
  ["next", "M9 5l8 7-8 7"],
  ["search", "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4"],
  ["file", "M6 3h8l4 4v14H6zM14 3v4h4"],
  ["drop", "M12 4v11M7.5 10.5L12 15l4.5-4.5M4 19h16"],
  ["model", "M12 3l2.2 5.8L20 11l-5.8 2.2L12 19l-2.2-5.8L4 11l5.8-2.2z"],
  ["tool", "M14.5 6.5a4 4 0 0 0 5 5L12 19a2.8 2.8 0 0 1-4-4z"],
  ["wait", "M7 3h10M7 21h10M8 3c0 5 8 5 8 9s-8 4-8 9M16 3c0 5-8 5-8 9"],
  ["run", "M5 5h14v14H5zM5 10h14"],
  ["span", "M4 12h16"],
  ["warning", "M12 4l9 16H3zM12 10v4M12 17v.5"],
  ["lock", "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3"],
  ["plus", "M12 5v14M5 12h14"],
  ["minus", "M5 12h14"],
  ["fit", "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"],
  ["close", "M6 6l12 12M18 6L6 18"],
  ["theme", "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18"],
]);

export function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "icon");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", ICONS.get(name));
  picture.append(line);
  return picture;
}

export function iconButton(name, label, onclick, more = {}) {
  return el("button", { type: "button", class: "quiet-button", title: label, "aria-label": label, onclick, ...more }, icon(name));
}
