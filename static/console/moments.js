// Keeps relative times true while a page is open. The server writes the first ones.

import { gettext } from "./translated.js";

const UNITS = [[86400, gettext("d")], [3600, gettext("h")], [60, gettext("min")]];
const OLD_SECONDS = 30 * 86400;

export function relative(at, now) {
  const seconds = (now - at) / 1000;
  const distance = Math.abs(seconds);
  const [size, unit] = UNITS.find(([size]) => distance >= size) ?? [1, gettext("s")];
  const amount = `${Math.floor(distance / size)} ${unit}`;
  return seconds >= 0 ? gettext("%(amount)s ago", { amount }) : gettext("in %(amount)s", { amount });
}

export function refreshMoments(scope = document) {
  const now = Date.now();
  for (const place of scope.querySelectorAll("time[data-moment]")) {
    const at = Date.parse(place.dateTime);
    if (Number.isNaN(at) || Math.abs(now - at) / 1000 >= OLD_SECONDS) continue;
    const text = relative(at, now);
    if (place.textContent !== text) place.textContent = text;
  }
}

export function keepMoments() {
  refreshMoments();
  setInterval(refreshMoments, 10_000);
}
