// Words of scripts in the reader's language. A page in another language than English has loaded
// Django's catalogue before; values stand in a text as %(name)s.

const catalogue = globalThis.django;

function filled(text, values) {
  return text.replace(/%\((\w+)\)s/g, (place, name) => (Object.hasOwn(values, name) ? String(values[name]) : place));
}

export function gettext(text, values = {}) {
  return filled(catalogue?.gettext?.(text) ?? text, values);
}

export function ngettext(one, many, n, values = {}) {
  return filled(catalogue?.ngettext?.(one, many, n) ?? (n === 1 ? one : many), { n, ...values });
}
