// Shows a part of the page anew while the server says that something of it is still under way.

import { refreshMoments } from "./moments.js";

const PAUSE_MS = 2_000;
const MAX_TIMES = 60; // whoever stays longer loads the page again

async function renew(part) {
  const answer = await fetch(part.dataset.poll, { headers: { Accept: "text/html" } });
  if (answer.redirected || answer.status === 403) return null;
  if (!answer.ok) return part; // asked again with the next turn
  const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
  if (part.contains(document.activeElement)) return part; // nothing moves under somebody's fingers
  part.replaceWith(document.adoptNode(found));
  refreshMoments(found);
  return found;
}

async function follow(part) {
  for (let times = 0; part?.dataset.busy === "yes" && times < MAX_TIMES; times += 1) {
    await new Promise((done) => setTimeout(done, PAUSE_MS));
    if (document.hidden) continue;
    try {
      part = await renew(part);
    } catch {
      // The site cannot be reached now; the next turn asks again.
    }
  }
}

for (const part of document.querySelectorAll("[data-poll]")) follow(part);
