// The console's page: takes dropped files, and fetches the run the address names.

import { Viewer } from "./viewer.js";

const root = document.getElementById("trace-viewer");

async function fetched(viewer, address, name) {
  const answer = await fetch(address, { headers: { Accept: "application/x-ndjson" } });
  if (!answer.ok) {
    viewer.complain(answer.status === 403 || answer.status === 404
      ? "You may not export this run, or it is gone. Ask for the permission run.payload in its workspace."
      : `The run could not be fetched: the site answered ${answer.status}. Try again.`);
    return;
  }
  await viewer.open(await answer.blob(), name);
}

if (root) {
  const viewer = new Viewer(root);
  if (root.dataset.source) fetched(viewer, root.dataset.source, root.dataset.name);
}
