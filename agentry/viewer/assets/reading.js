// From a file to a story: each line is read by the reader of its own form, and a line nobody reads
// is named with its number. A file that is one OTLP document over many lines is read as a whole.

import { linesOf } from "./lines.js";
import { isEarlier, tellEarlier } from "./form_earlier.js";
import { isOtlp, tellOtlp } from "./form_otlp.js";
import { isOurs, tellOurs } from "./form_ours.js";
import { Story } from "./story.js";

export const MAX_FILE_BYTES = 512 * 1024 * 1024;
export const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024;

const FORMS = [
  { name: "Agentry", is: isOurs, tell: tellOurs },
  { name: "earlier Agentry tool", is: isEarlier, tell: tellEarlier },
  { name: "OTLP JSON", is: isOtlp, tell: tellOtlp },
];

export class UnreadableError extends Error {}

// Raises UnreadableError when nothing of the file can be shown.
export async function readTrace(blob, onBytes = () => {}) {
  if (blob.size > MAX_FILE_BYTES) {
    throw new UnreadableError("The file is larger than 512 MiB. Split it by runs or by time, and open a part.");
  }
  const story = new Story();
  const forms = new Set();
  if (await isOneDocument(blob)) {
    await readDocument(blob, story, forms);
  } else {
    for await (const lines of linesOf(blob, onBytes)) {
      for (const line of lines) readLine(story, line, forms);
    }
  }
  story.form = [...forms].join(" and ");
  if (!story.events.length) {
    const first = story.problems[0];
    const why = first ? ` Line ${first.number} ${first.sentence}.` : " The file is empty.";
    throw new UnreadableError(`There is no trace in this file.${why} Take an export of a run (JSONL), a file of the earlier tool, or OTLP JSON.`);
  }
  return story.finish();
}

function readLine(story, line, forms) {
  if (line.problem) {
    story.problem(line.number, line.problem);
    return;
  }
  const text = line.text.trim();
  if (!text) return;
  let row;
  try {
    row = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    story.problem(line.number, "is not JSON");
    return;
  }
  tellRow(story, row, { number: line.number, start: line.start, end: line.end }, forms);
}

function tellRow(story, row, line, forms) {
  if (row === null || typeof row !== "object" || Array.isArray(row)) {
    story.problem(line.number, "is JSON, but no object");
    return;
  }
  const form = FORMS.find((each) => each.is(row));
  if (!form) {
    story.problem(line.number, "is JSON, but an event of no known form");
    return;
  }
  const sentence = form.tell(story, row, line);
  if (sentence) story.problem(line.number, sentence);
  else forms.add(form.name);
}

// A first line that opens a document without ending it: `{` alone, or pretty-printed OTLP.
async function isOneDocument(blob) {
  const head = new TextDecoder().decode(await blob.slice(0, 4096).arrayBuffer()).trimStart();
  if (/^\[/.test(head)) return true;
  const first = head.split("\n", 1)[0].trim();
  return head.includes("\n") && /^\{\s*("resourceSpans"\s*:\s*\[?\s*\{?)?$/.test(first);
}

async function readDocument(blob, story, forms) {
  if (blob.size > MAX_DOCUMENT_BYTES) {
    throw new UnreadableError("One JSON document of more than 64 MiB cannot be read at once. Write one request a line instead.");
  }
  let whole;
  try {
    whole = JSON.parse(await blob.text());
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new UnreadableError(`The file is neither JSON lines nor one JSON document: ${error.message}.`);
  }
  const place = { number: 1, start: 0, end: blob.size };
  for (const row of Array.isArray(whole) ? whole : [whole]) tellRow(story, row, place, forms);
}
