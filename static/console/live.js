// Asks for a part of the page again and again while it is looked at, and says when it cannot be had.

import { gettext } from "./translated.js";

const LATE_MS = 30_000; // between attempts while the site cannot be reached
const mark = document.getElementById("live-mark");

function say(words) {
  mark.hidden = words === "";
  if (mark.textContent !== words) mark.textContent = words;
}

/** Shows what `url` answers by `show(page)`, with `pauseMs` between the answers. */
export function keepLive(url, pauseMs, show) {
  let pause = pauseMs;
  let timer = 0;
  let isAsking = false;

  async function look() {
    const answer = await fetch(url, { headers: { Accept: "text/html" } });
    if (answer.redirected || answer.status === 403) return false;
    if (!answer.ok) throw new Error(`The site answered ${answer.status}.`);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    return true;
  }

  async function turn() {
    clearTimeout(timer);
    if (isAsking || document.hidden) return; // goes on when it is seen again
    isAsking = true;
    try {
      if (!(await look())) return say(gettext("You were signed out. Load the page again."));
      say("");
      pause = pauseMs;
    } catch {
      say(gettext("Not up to date: the site cannot be reached."));
      pause = Math.min(pause * 2, Math.max(LATE_MS, pauseMs));
    } finally {
      isAsking = false;
    }
    timer = setTimeout(turn, pause);
  }

  document.addEventListener("visibilitychange", turn);
  timer = setTimeout(turn, pauseMs);
}
