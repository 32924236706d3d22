// Collapsed stacks as a tree: how many samples went through each frame, and which ended in it.

const MACHINERY = /\((?:threading|asyncio|selectors|concurrent|uvicorn|uvloop|runpy|celery|kombu|billiard|<frozen)|^<module>|^_run|\(asyncio\//;
const OURS = /\((?:[^)]*\/)?(?:core|governance|observability|sandbox|plugins|agents|agentry_site|agentry)\//;
const MAX_LINES = 500_000;

// Frames are keys of Maps: whatever a function is called, it is only a name.
export function treeOf(text) {
  const root = frame("all threads", null);
  let lines = 0;
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" ");
    const samples = Number(line.slice(at + 1));
    if (at < 1 || !Number.isInteger(samples) || samples < 1) continue;
    if ((lines += 1) > MAX_LINES) break;
    let node = root;
    node.total += samples;
    for (const name of line.slice(0, at).split(";")) {
      let below = node.below.get(name);
      if (!below) {
        below = frame(name, node);
        node.below.set(name, below);
      }
      below.total += samples;
      node = below;
    }
    node.own += samples;
  }
  return root;
}

function frame(name, above) {
  return { name, above, total: 0, own: 0, depth: above ? above.depth + 1 : 0, below: new Map(), kind: kindOf(name, above) };
}

// Threads are called by their names; one without a name by its number.
export function labelOf(node) {
  return node.kind === "thread" ? node.name.replace(/^thread \((\w+)\)(?:: (.+))?$/, (_, number, name) => name ?? `thread ${number}`) : node.name;
}

function kindOf(name, above) {
  if (!above) return "machinery";
  if (!above.above) return "thread";
  if (OURS.test(name)) return "ours";
  return MACHINERY.test(name) ? "machinery" : "other";
}

export function children(node) {
  return [...node.below.values()].sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
}

// The functions in which most samples ended: { name, own, total }, a function once however deep.
export function hottest(root, most) {
  const found = new Map();
  const pending = children(root).map((node) => [node, new Set()]);
  while (pending.length) {
    const [node, above] = pending.pop();
    if (node.above !== root) {
      const each = found.get(node.name) ?? { name: node.name, own: 0, total: 0 };
      each.own += node.own;
      if (!above.has(node.name)) each.total += node.total;
      found.set(node.name, each);
    }
    if (node.below.size) {
      const seen = new Set(above).add(node.name);
      for (const below of node.below.values()) pending.push([below, seen]);
    }
  }
  return [...found.values()].filter((each) => each.own > 0).sort((a, b) => b.own - a.own).slice(0, most);
}

// Samples that went through a frame whose name fits, each counted once.
export function matching(root, wanted) {
  let samples = 0;
  const pending = [root];
  while (pending.length) {
    const node = pending.pop();
    if (fits(node, wanted)) samples += node.total;
    else pending.push(...node.below.values());
  }
  return samples;
}

export function fits(node, wanted) {
  return wanted !== "" && node.above !== null && labelOf(node).toLowerCase().includes(wanted);
}
