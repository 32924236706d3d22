// A file as numbered lines, read piece by piece: memory is that of one piece and one line.

export const MAX_LINE_BYTES = 16 * 1024 * 1024;
const NEWLINE = 10;

// Yields lists of { number, start, end, text } or { number, start, end, problem }. Places are bytes
// of `blob`, so that a line can be read again. `onBytes` hears how far it got.
export async function* linesOf(blob, onBytes = () => {}) {
  const reader = blob.stream().getReader();
  const line = new OpenLine();
  let seen = 0;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const found = [];
      let from = 0;
      for (let at = value.indexOf(NEWLINE); at !== -1; at = value.indexOf(NEWLINE, from)) {
        line.add(value.subarray(from, at));
        found.push(line.close(seen + at + 1));
        from = at + 1;
      }
      line.add(value.subarray(from));
      seen += value.length;
      onBytes(seen);
      if (found.length) yield found;
    }
    if (line.size) yield [line.close(seen)];
  } finally {
    await reader.cancel();
  }
}

class OpenLine {
  constructor() {
    this.number = 1;
    this.start = 0;
    this.decoder = new TextDecoder("utf-8", { fatal: true });
    this.clear();
  }

  clear() {
    this.pieces = [];
    this.size = 0;
  }

  add(piece) {
    this.size += piece.length;
    if (this.size > MAX_LINE_BYTES) this.pieces = [];
    else if (piece.length) this.pieces.push(piece.slice());
  }

  // `next` is where the following line begins.
  close(next) {
    const line = { number: this.number, start: this.start, end: next };
    if (this.size > MAX_LINE_BYTES) line.problem = "is longer than 16 MiB";
    else {
      try {
        line.text = this.decoder.decode(this.joined());
      } catch {
        line.problem = "is not UTF-8 text";
      }
    }
    this.number += 1;
    this.start = next;
    this.clear();
    return line;
  }

  joined() {
    if (this.pieces.length === 1) return this.pieces[0];
    const whole = new Uint8Array(this.size);
    let at = 0;
    for (const piece of this.pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}
