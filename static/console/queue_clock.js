// Count-downs to the end of a question's time, by the server's clock.

import { gettext } from "./translated.js";

const SOON = "is-soon";
const OVER = "is-over";
let ahead = 0; // by how much the server's clock is ahead of this one

export function setClock(serverNow) {
  const at = Date.parse(serverNow);
  if (!Number.isNaN(at)) ahead = at - Date.now();
}

function two(number) {
  return String(number).padStart(2, "0");
}

export function left(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 0) return gettext("time is over");
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600), Math.floor(seconds / 60)];
  if (days >= 2) return gettext("%(days)s days left", { days });
  if (hours >= 1) return gettext("%(hours)s h %(minutes)s min left", { hours, minutes: two(minutes % 60) });
  return gettext("%(time)s left", { time: `${minutes}:${two(seconds % 60)}` });
}

export function tick(scope = document) {
  const now = Date.now() + ahead;
  for (const place of scope.querySelectorAll("time[data-until]")) {
    const rest = Date.parse(place.dateTime) - now;
    const text = left(rest);
    if (place.textContent !== text) place.textContent = text;
    place.classList.toggle(SOON, now >= Date.parse(place.dataset.warnAt));
    place.classList.toggle(OVER, rest < 0);
  }
}

export function keepTicking() {
  tick();
  setInterval(tick, 1_000);
}
