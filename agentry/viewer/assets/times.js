// Times of traces as milliseconds since 1970, with what is below a millisecond kept as a fraction.

const STAMP = /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d{1,12})?(Z|[+-]\d\d:?\d\d)?$/i;

const LAST = 8.64e15; // no date is further from 1970

export function timeOf(value) {
  if (typeof value === "number" && Number.isFinite(value)) {
    const at = value > 1e11 ? value : value * 1000; // milliseconds or seconds
    return Math.abs(at) <= LAST ? at : NaN;
  }
  const found = typeof value === "string" ? STAMP.exec(value) : null;
  if (!found) return NaN;
  const whole = Date.parse(`${found[1].replace(" ", "T")}${found[3] ?? "Z"}`);
  return whole + (found[2] ? Number(found[2]) * 1000 : 0);
}

export function nanoTimeOf(value) {
  if (typeof value !== "string" && typeof value !== "number") return NaN;
  if (!/^\d{1,20}$/.test(String(value))) return NaN;
  const nanos = BigInt(value);
  return Number(nanos / 1000n) / 1000;
}
