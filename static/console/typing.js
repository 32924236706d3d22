// Whether a key is for a field that somebody writes in, and so for nothing else.

export function isTyping(target) {
  return target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]") !== null;
}
