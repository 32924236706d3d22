// Times, amounts and small elements as pages write them.

import { gettext } from "./translated.js";

export function duration(ms) {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function count(number) {
  if (number >= 1_000_000) return `${(number / 1_000_000).toFixed(1)}M`;
  if (number >= 10_000) return `${(number / 1_000).toFixed(1)}k`;
  return number.toLocaleString("en").replaceAll(",", "\u202f");
}

export function money(usd) {
  if (usd === 0) return "$0.00";
  if (usd < 0.0001) return "<$0.0001";
  return `$${usd.toFixed(usd >= 1 ? 2 : 4)}`;
}

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const use = made.appendChild(document.createElementNS(SVG, "use"));
  use.setAttribute("href", `${document.getElementById("run").dataset.sprite}#${name}`);
  return made;
}

export function svg(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

/** A button that closes what it stands in. */
export function closeButton(close) {
  const made = element("button", "quiet-button");
  made.type = "button";
  made.title = gettext("Close");
  made.append(icon("close"), element("span", "visually-hidden", gettext("Close")));
  made.addEventListener("click", close);
  return made;
}

export function pill(state) {
  const made = element("span", `pill is-${state}`);
  made.append(icon(`state-${state}`), element("span", "pill-word", state.replaceAll("_", " ")));
  return made;
}
