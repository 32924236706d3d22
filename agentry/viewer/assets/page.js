// The console's page: takes dropped files, and fetches the run the address names.

import { Viewer } from "./viewer.js";

const root = document.getElementById("trace-viewer");

// A run and those below it, one after the other, as if they were one file.
async function fetched(viewer, addresses, name) {
  const parts = [];
  for (const address of addresses) {
    viewer.say(`Fetching run ${parts.length + 1} of ${addresses.length} …`);
    const answer = await fetch(address, { headers: { Accept: "application/x-ndjson" } });
    if (!answer.ok) {
      viewer.complain(answer.status === 403 || answer.status === 404
        ? "You may not export this run, or it is gone. Ask for the permission run.payload in its workspace."
        : `The run could not be fetched: the site answered ${answer.status}. Load the page again.`);
      return;
    }
    parts.push(await answer.blob());
  }
  await viewer.open(new Blob(parts), name);
}

if (root) {
  const viewer = new Viewer(root);
  const { sources, name } = root.dataset;
  if (sources) {
    fetched(viewer, sources.split(" "), name).catch((error) => {
      viewer.complain(`The run could not be fetched: ${error.message}. Load the page again.`);
    });
  }
}
