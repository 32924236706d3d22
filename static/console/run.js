// The page of a run: puts its parts together and tells them the news.

import { startCalls } from "./run_calls.js";
import { news as conversationNews, startConversation, write } from "./run_conversation.js";
import { follow, refreshParts } from "./run_live.js";
import { startState } from "./run_state.js";
import { startSteps } from "./run_steps.js";
import { shownPanel, startTabs } from "./run_tabs.js";
import { startTimeline } from "./run_timeline.js";
import { Trail } from "./run_trail.js";

const DRAWN_FROM_TRAIL = new Set(["calls", "steps", "timeline"]);

startTabs();
const trail = new Trail(document.getElementById("run").dataset.events);
trail.isWatched = () => !document.hidden && DRAWN_FROM_TRAIL.has(shownPanel());
document.addEventListener("visibilitychange", () => trail.isWatched() && trail.load());
startConversation();
startCalls(trail);
startSteps(trail);
startTimeline(trail);
startState();
follow({
  onNews() {
    refreshParts();
    conversationNews();
    if (DRAWN_FROM_TRAIL.has(shownPanel())) trail.load();
  },
  onDelta: write,
});
