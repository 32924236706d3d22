// Asked in a page: buttons nobody's finger hits, words cut off where no ellipsis says so and nothing
// scrolls, words chopped in the middle; on a phone also tables wider than what holds them, and fields
// it zooms in to. Returns a sentence for each.
() => {
  const SMALLEST_PX = 23.5; // WCAG 2.2, 2.5.8, less what rounding takes
  const BUTTONS = "button, .button, [type=submit], [type=button], [role=tab]";
  const AS_WORDS = ".link-button, .flame-frame"; // within a line of text, and to scale
  const PHONE_PX = 640;
  const FIELD_PX = 16; // of letters; phones zoom in to what is smaller
  const TO_SCALE = ".heat"; // tables whose columns are a scale of time
  const LONGEST_WORD = 31; // what is longer, as the ids of traces, fits no column
  const found = [];

  function named(node) {
    const words = node.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
    const marks = [...node.classList].map((name) => `.${name}`).join("");
    return `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""}${marks} “${words}”`;
  }

  function isSeen(node) {
    const isShown = node.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    return isShown && !node.closest(".visually-hidden, .skip-link, svg");
  }

  function cutter(words, parent) {
    for (let place = parent; place && place !== document.body; place = place.parentElement) {
      const look = getComputedStyle(place);
      const isMeant = look.textOverflow === "ellipsis" || look.webkitLineClamp !== "none";
      const isHidden = look.position === "fixed" || look.clipPath === "inset(50%)"; // of sheets, for ears
      if (isMeant || isHidden) return null;
      const box = place.getBoundingClientRect();
      const beyond = [
        [words.right > box.right + 1.5 || words.left < box.left - 1.5, look.overflowX],
        [words.bottom > box.bottom + 3 || words.top < box.top - 3, look.overflowY],
      ];
      if (beyond.some(([is, flow]) => is && ["hidden", "clip"].includes(flow))) return place;
      if (beyond.some(([is, flow]) => is && ["auto", "scroll"].includes(flow))) return null;
    }
    return null;
  }

  function isForEars(node) {
    for (let place = node; place; place = place.parentElement)
      if (getComputedStyle(place).clipPath === "inset(50%)") return true;
    return false;
  }

  function isChopped(range, words) {
    if (words.length > LONGEST_WORD || /[\s\-/·…]/.test(words)) return false;
    return new Set([...range.getClientRects()].map((each) => Math.round(each.top))).size > 1;
  }

  function onPhone() {
    for (const node of document.querySelectorAll("input, select")) {
      if (node.matches("[type=checkbox], [type=radio], [type=hidden], [type=submit], [type=file], [type=range]")) continue;
      const size = parseFloat(getComputedStyle(node).fontSize);
      if (isSeen(node) && size < FIELD_PX) found.push(`zoomed in to: ${named(node)} ${node.name} ${size}`);
    }
    for (const node of document.querySelectorAll(`table:not(${TO_SCALE})`)) {
      const box = node.closest(".table-box, .results, .card") ?? node.parentElement;
      if (isSeen(node) && node.getBoundingClientRect().right > box.getBoundingClientRect().right + 1.5)
        found.push(`wider than its place: ${named(node)}`);
    }
  }

  if (innerWidth <= PHONE_PX) onPhone();
  for (const node of document.querySelectorAll(BUTTONS)) {
    const box = node.getBoundingClientRect();
    if (!isSeen(node) || node.matches(AS_WORDS)) continue;
    if (Math.min(box.width, box.height) >= SMALLEST_PX) continue;
    found.push(`small: ${named(node)} ${Math.round(box.width)}×${Math.round(box.height)}`);
  }

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || parent.closest("option, script, template, noscript")) continue;
    if (!isSeen(parent)) continue;
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const place = cutter(range.getBoundingClientRect(), parent);
    if (isChopped(range, texts.currentNode.data.trim()) && !isForEars(parent))
      found.push(`chopped: ${named(parent)}`);
    if (place) found.push(`cut off: ${named(parent)} by ${named(place).slice(0, 60)}`);
  }
  return found;
}
