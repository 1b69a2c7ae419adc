// What is under the pointer, what a search means, and the walks from one thing to the next.

function laneAt(y) {
  return view.places.lanes.findIndex((p) => y >= p.y && y < p.y + p.h);
}

// The thing at a point of the plot: one line of text, and what a click on it selects.
function hitAt(x, y) {
  const n = laneAt(y);
  if (n < 0) return null;
  const r = rec(), lane = r.lanes[n], time = timeOf(x), near = (state.t1 - state.t0) / view.width * 6;
  if (lane.kind === "pcpu") return hitPcpu(r, lane, time, near);
  if (lane.kind === "device") {
    const i = nearest(r.asserts, 4, time, near, (k) => lane.members.includes(r.asserts[k + 1]));
    if (i < 0) return null;
    const j = r.byKey.get(`${r.asserts[i + 1]}.${r.asserts[i + 2]}`);
    return { text: `${r.sources[r.asserts[i + 1]]} asserts #${r.asserts[i + 2]} at ${full(r.asserts[i])}${r.asserts[i + 3] ? ", merged with an earlier one" : ""}`, journey: j, step: 0 };
  }
  if (lane.kind === "irte") {
    const i = nearest(r.routes, 5, time, near, () => true);
    if (i < 0) return null;
    const v = r.routes[i + 2];
    return { text: `IRTE ${r.routes[i + 1]} ${v < 0 ? "posts to a descriptor" : `remaps to host vector ${hex(v)}`} · VT-d, interrupt remapping`, ...journeyNear(r, n, r.routes[i], near) };
  }
  const [flat, stride] = flatOf(r, lane);
  for (let i = firstAt(flat, stride, time); i < flat.length && flat[i] <= time + near; i += stride) {
    if (flat[i + 1] < time - near) continue;
    const long = lasting(flat[i + 1] - flat[i]);
    let text = "";
    if (lane.kind === "vcpu") text = `${lane.label} ${["runs", `waits while ${r.host} runs on its pCPU`, "is runnable", "is blocked", "is offline"][flat[i + 2]]}, ${long}`;
    else if (lane.kind === "vector") text = `${lane.label} ${["is pending", "is requested", "is in service"][flat[i + 2]]}, ${long}${flat[i + 3] ? "" : ", end unknown"}`;
    else if (lane.kind === "port") text = `${lane.label} is pending, ${long}`;
    else text = `ON = 1, ${long}: a notification is outstanding · VT-d, 9.11`;
    if (time > flat[i + 1] + near || time < flat[i] - near) continue;
    return { text, ...(lane.kind === "vcpu" ? {} : journeyNear(r, n, Math.max(flat[i], Math.min(time, flat[i + 1])), flat[i + 1] - flat[i] + near)) };
  }
  return null;
}

function hitPcpu(r, lane, time, near) {
  const list = exitsOn(r, lane.number);
  const n = lowerBound(list, time - near, (x) => x.end);
  for (let k = n; k < list.length && list[k].start <= time + near; k++) {
    const x = list[k];
    const [name] = reasonOf(r, x.reason), vmx = /^[A-Z_]+$/.test(name);
    const what = name === "EXTERNAL_INTERRUPT" ? ` ${exitText(r, x)}` : "";
    return { text: `${name}${what}, ${lasting(x.end - x.start)} on ${lane.label}${vmx ? " · SDM vol. 3, app. C" : ""}`, exit: x };
  }
  const flat = r.owners[lane.number] || [];
  const i = firstAt(flat, 5, time + 0.5);
  if (i >= flat.length || flat[i] > time || flat[i + 1] < time) return null;
  const who = [`idle`, `${r.host} without an exit`, hostTasks(r), "the guest"][flat[i + 2]];
  return { text: `${lane.label}: ${who}${flat[i + 2] >= DOM0 ? ` ${vcpuName(r, flat[i + 4])}` : ""}, ${lasting(flat[i + 1] - flat[i])}` };
}

function nearest(flat, stride, time, near, fits) {
  let best = -1, gap = near;
  for (let i = firstAt(flat, stride, time - near); i < flat.length && flat[i] <= time + near; i += stride) {
    if (fits(i) && Math.abs(flat[i] - time) <= gap) { best = i; gap = Math.abs(flat[i] - time); }
  }
  return best;
}

function journeyNear(r, lane, time, reach) {
  let best = null, gap = Infinity, step = 0;
  const j0 = selected();
  for (const j of j0 ? [j0, ...around(r, time)] : around(r, time)) {
    j.cards.forEach((card, n) => {
      const far = Math.abs(card.time - time);
      if (card.lane === lane && far <= reach && far < gap) { best = j; gap = far; step = n; }
    });
  }
  return best ? { journey: best, step } : {};
}

function around(r, time) {
  const n = lowerBound(r.byStart, time + 1, (x) => x.start);
  return r.byStart.slice(Math.max(0, n - 60), n + 2).filter((j) => j.end >= time - 1e9);
}

function searchFor(text, direction) {
  const r = rec(), query = text.trim().toLowerCase();
  if (!query) return "";
  const number = /^(0x[0-9a-f]+)$/.test(query) ? parseInt(query, 16) : -1;
  const found = [];
  for (const j of r.journeys) {
    const name = j.source >= 0 ? r.sources[j.source].toLowerCase() : "";
    if ((number >= 0 && j.vector === number) || (name && `${name} #${j.serial} ${j.serial}`.includes(query)) || `#${j.serial}` === query) {
      found.push({ time: j.start, journey: j, step: 0 });
    }
  }
  for (let i = 0; i < r.exits.length; i += 7) {
    const x = exitAt(r, i), name = reasonOf(r, x.reason)[0].toLowerCase();
    if (name.replaceAll("_", " ").includes(query.replaceAll("_", " ")) || (number >= 0 && x.argument === number && name === "external_interrupt")) {
      found.push({ time: x.start, exit: x });
    }
  }
  if (!found.length) return `Nothing in this window is called “${text.trim()}”: try a vector such as 0x80, a source or an exit reason.`;
  found.sort((a, b) => a.time - b.time);
  let at = direction > 0 ? found.findIndex((f) => f.time > state.cursor) : -1;
  if (direction < 0) for (let k = 0; k < found.length && found[k].time < state.cursor; k++) at = k;
  if (at < 0) at = direction > 0 ? 0 : found.length - 1;
  choose(found[at]);
  reveal(found[at].time);
  return `${group(String(at + 1))} of ${group(String(found.length))} for “${text.trim()}”`;
}

// The next or previous interrupt of the selected one's source (or vector), by the time it begins.
function nextInterrupt(direction) {
  const r = rec(), j = selected();
  const like = r.byStart.filter((x) => !x.merged && (!j || (x.source === j.source && (x.source >= 0 || (x.vector === j.vector && x.vcpu === j.vcpu)))));
  if (!like.length) return "This window holds no interrupt.";
  const from = j ? j.start : state.cursor;
  const list = direction > 0 ? like.find((x) => x.start > from) : like.slice().reverse().find((x) => x.start < from);
  if (!list && DATA.served && r.more && !isHeld(r, from, direction > 0 ? SPAN : 0)) { readOn(direction, () => nextInterrupt(direction)); return "Reading further interrupts."; }
  if (!list && r.more && !DATA.served) return `This page holds ${group(String(r.journeys.length))} of ${group(String(r.more))} interrupts; exitless view reads them all.`;
  if (!list) return direction > 0 ? "This is the last one in this window." : "This is the first one in this window.";
  const at = j ? (state.cursor - j.start) : 0;
  choose({ journey: list, step: at ? Math.min(state.sel ? state.sel.step : 0, list.cards.length - 1) : 0 });
  reveal(list.start, list.end);
  return stepText();
}

function nextExit(direction) {
  const r = rec(), j = selected(), lane = r.lanes[state.lane];
  const pcpu = lane && lane.kind === "pcpu" ? lane.number : state.exit ? state.exit.pcpu : j && j.pcpus.length ? j.pcpus[0] : (r.lanes.find((l) => l.kind === "pcpu" && exitsOn(r, l.number).length) || { number: 0 }).number;
  const list = exitsOn(r, pcpu);
  const next = direction > 0 ? list.find((x) => x.start > state.cursor) : list[lowerBound(list, state.cursor, (x) => x.start) - 1];
  if (!next) return `No ${direction > 0 ? "later" : "earlier"} exit on pCPU${pcpu} in this window.`;
  choose({ exit: next });
  reveal(next.start);
  return `${reasonOf(r, next.reason)[0]} on pCPU${pcpu}, ${exitText(r, next)}, ${lasting(next.end - next.start)}`;
}
