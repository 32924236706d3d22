// One event of the trace, with its payload.

import { jsonView } from "./run_json.js";
import { ask } from "./run_live.js";
import { element } from "./words.js";
import { gettext } from "./translated.js";

export async function showEvent(mark, url, place) {
  place.replaceChildren(element("strong", "", gettext("Event %(n)s", { n: mark.n })), element("code", "", mark.kind));
  try {
    const { value, cut } = await (await ask(url)).json();
    place.append(jsonView(value, { label: gettext("Payload"), cut }));
  } catch (error) {
    place.append(element("p", "quiet", error.message));
  }
}
