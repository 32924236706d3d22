// A deed for all runs of a filter: goes on batch by batch until it is through or somebody stops it.

let isStopped = false;

async function step(form) {
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
  if (!answer.ok || answer.redirected) throw new Error(`The site answered ${answer.status}.`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const part = page.getElementById("bulk");
  document.getElementById("refusals").append(...page.querySelectorAll("#refusals > li"));
  document.getElementById("bulk").replaceWith(document.adoptNode(part));
  return document.getElementById("bulk").querySelector("form[data-goes-on]");
}

function showButtons(form, isGoing) {
  form.querySelector("[data-stop]").hidden = !isGoing;
  form.querySelector("[data-go-on]").hidden = isGoing;
}

async function goOn(form) {
  isStopped = false;
  document.getElementById("bulk-problem").hidden = true;
  while (form && !isStopped) {
    showButtons(form, true);
    try {
      form = await step(form);
    } catch {
      document.getElementById("bulk-problem").hidden = false;
      isStopped = true;
    }
  }
  if (form) showButtons(form, false);
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-stop]")) isStopped = true;
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-goes-on]")) return;
  event.preventDefault();
  goOn(event.target);
});

const first = document.querySelector("#bulk form[data-goes-on]");
if (first) goOn(first);
