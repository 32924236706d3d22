// Sets the chosen colours before anything is painted; no module, because modules run too late.
// The choice is kept under the name Django's admin uses, so that it survives either way.
(() => {
  const known = ["auto", "light", "dark"];
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    chosen = null; // storage is switched off: the system decides
  }
  document.documentElement.dataset.theme = known.includes(chosen) ? chosen : "auto";
})();
