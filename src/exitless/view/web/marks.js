// The other lanes: devices, routing, virtual CPUs, their vectors and ports, and the ways of interrupts not selected.

function drawDevice(c, r, lane, place, j, ink) {
  const y = place.y + 4, h = place.h - 9;
  const p = instantsOf(r, lane), { flat } = p;
  if (crowd(c, p, y, h)) return;
  let last = -9;
  const many = [];
  for (let i = firstAt(flat, 4, state.t0); i < flat.length && flat[i] <= state.t1; i += 4) if (flat[i] >= state.t0) many.push(i);
  many.forEach((i, k) => {
    const x = xOf(flat[i]);
    if (x - last < 1 && k + 1 < many.length) return;
    last = x;
    view.marks++;
    const mine = j && j.source === flat[i + 1] && j.serial === flat[i + 2];
    c.globalAlpha = !j || mine ? 1 : Math.max(0.45, ink * 0.6);
    c.fillStyle = C.ink;
    if (flat[i + 3]) { c.fillRect(x - 0.5, y, 1, h / 2); c.fillRect(x - 2.5, y + h / 2, 5, 1); }
    else c.fillRect(x - 1, y, 2, h);
    const next = k + 1 < many.length ? xOf(flat[many[k + 1]]) : view.width;
    if (mine || next - x < LEAST) return;
    const queue = lane.members.length > 1 ? `${r.sources[flat[i + 1]]} ` : "";
    const text = `${queue}#${flat[i + 2]}${flat[i + 3] ? " merged" : ""}`;
    besides(c, text, x + 7, next, place.y + place.h / 2, C.second);
  });
  c.globalAlpha = ink;
}

// No text fits in less, in pixels: what a crowd is not even asked for.
const LEAST = 20;
function besides(c, text, x, limit, y, colour) {
  if (x + textWidth(c, text, FONT.text) + 6 > limit) return;
  c.font = FONT.text;
  c.fillStyle = colour;
  c.textBaseline = "middle";
  c.fillText(text, x, y);
}

function drawRoutes(c, r, lane, place, j, ink) {
  const y = place.y + place.h / 2;
  if (crowd(c, instantsOf(r, lane), y - 5, 10)) return;
  const seen = [];
  for (let i = firstAt(r.routes, 5, state.t0); i < r.routes.length && r.routes[i] <= state.t1; i += 5) {
    if (r.routes[i] >= state.t0) seen.push(i);
  }
  let last = -9;
  seen.forEach((i, k) => {
    const x = xOf(r.routes[i]);
    if (x - last < 2 && k + 1 < seen.length) return;
    last = x;
    view.marks++;
    const mine = j && j.cards.some((card) => card.time === r.routes[i] && card.lane === lane.n);
    c.globalAlpha = !j || mine ? 1 : 0.55;
    c.strokeStyle = C.ink;
    c.lineWidth = 1.3;
    if (seen.length > view.width / 12) { c.fillStyle = C.ink; c.fillRect(x, y - 5, 1, 10); return; }
    c.beginPath();
    c.arc(x, y, 3, 0, 7);
    c.stroke();
    const next = k + 1 < seen.length ? xOf(r.routes[seen[k + 1]]) : view.width;
    if (mine || next - x < LEAST) return;
    const vector = r.routes[i + 2];
    const text = vector < 0 ? `${r.routes[i + 1]}: posted to ${vcpuName(r, r.routes[i + 4])}`
      : `${r.routes[i + 1]}: host ${hex(vector)}${r.routes[i + 3] >= 0 ? `, pCPU${r.routes[i + 3]}` : ""}`;
    besides(c, text, x + 8, next, y, C.second);
  });
  c.globalAlpha = ink;
}

function touches(j, start, end) { return !j || (start <= j.end && end >= j.start); }

function drawPid(c, r, lane, place, j) {
  const bar = barOf(place, "pid"), p = plainOf(r, lane), { flat } = p;
  drawSpans(c, p, 3, (i, x0, x1) => {
    c.globalAlpha = touches(j, flat[i], flat[i + 1]) ? 1 : 0.45;
    c.fillStyle = C.paper;
    c.fillRect(x0, bar.y, x1 - x0, bar.h);
    c.strokeStyle = C.ink;
    c.lineWidth = 1.4;
    c.strokeRect(x0 + 0.7, bar.y + 0.7, x1 - x0 - 1.4, bar.h - 1.4);
    const w = textWidth(c, "ON", FONT.tiny);
    if (x1 - x0 > w + 34) { c.font = FONT.tiny; c.fillStyle = C.ink; c.textBaseline = "middle"; c.fillText("ON", (x0 + x1 - w) / 2, bar.y + bar.h / 2 + 0.5); }
  }, bar, [C.ink], j ? 0.6 : 1, 0);
}

function drawVcpu(c, r, lane, place, j, ink) {
  const bar = barOf(place, "vcpu"), p = statesOf(r, lane.number), { flat } = p;
  const dom0 = lane.detail === "dom0";
  drawSpans(c, p, 2, (i, x0, x1) => {
    const s = flat[i + 2], mid = bar.y + bar.h / 2;
    if (isDeep(p)) { c.fillStyle = C.paper; c.fillRect(x0, bar.y, x1 - x0, bar.h); }
    if (s === RUNS) {
      c.fillStyle = dom0 ? C.hatch.dom0 : C.guest;
      c.fillRect(x0, bar.y, x1 - x0, bar.h);
      c.fillStyle = dom0 ? C["dom0-edge"] : C["guest-edge"];
      c.fillRect(x0, bar.y + bar.h - 1.2, x1 - x0, 1.2);
      inside(c, "running", x0, x1, mid, FONT.small, dom0 ? C["dom0-text"] : C["guest-text"]);
    } else if (s === IN_HOST) {
      c.fillStyle = C["xen-edge"];
      c.fillRect(x0, mid - 1, x1 - x0, 2);
    } else if (s === RUNNABLE) {
      c.strokeStyle = C.ink;
      c.lineWidth = 1.1;
      c.setLineDash([3, 2]);
      c.strokeRect(x0 + 0.5, bar.y + 0.5, Math.max(1, x1 - x0 - 1), bar.h - 1);
      c.setLineDash([]);
      inside(c, "runnable", x0, x1, mid, FONT.small, C.second);
    } else if (s === BLOCKED) {
      c.fillStyle = C.third;
      for (let x = Math.max(0, x0); x < Math.min(x1, view.width); x += 5) c.fillRect(x, bar.y + bar.h - 1, 1.5, 1);
      inside(c, "blocked", x0, x1, mid, FONT.small, C.second, x1 - x0 > 64);
    }
  }, bar, [dom0 ? C["dom0-edge"] : C["guest-edge"], C.xen, C.second], ink, 0);
}

function drawVector(c, r, lane, place, j) {
  const bar = barOf(place, "vector"), p = vectorOf(r, lane), { flat } = p;
  const own = j && (j.vector === lane.vector || j.cards.some((card) => card.lane === lane.n)) && j.vcpu === lane.number;
  drawSpans(c, p, 2, (i, x0, x1) => {
    const phase = flat[i + 2];
    c.globalAlpha = !j || (own && touches(j, flat[i], flat[i + 1])) ? 1 : touches(j, flat[i], flat[i + 1]) ? 0.8 : 0.45;
    if (phase === SERVICE) service(c, r, lane, flat, i, bar);
    else waiting(c, x0, x1, bar, phase === PENDING);
  }, bar, [C.third, C.second, C.ink], j && !own ? 0.45 : 1, 2);
}

function waiting(c, x0, x1, bar, dotted) {
  c.fillStyle = C.paper;
  c.fillRect(x0, bar.y, x1 - x0, bar.h);
  c.strokeStyle = C.ink;
  c.lineWidth = 1.3;
  if (dotted) c.setLineDash([1.5, 2.5]);
  c.strokeRect(x0 + 0.6, bar.y + 0.6, Math.max(0.5, x1 - x0 - 1.2), bar.h - 1.2);
  c.setLineDash([]);
  inside(c, dotted ? "pending" : "requested", x0, x1 - 8, bar.y + bar.h / 2, FONT.small, C.second);
}

// In service: filled while its vCPU runs, hatched while it does not.
function service(c, r, lane, flat, i, bar) {
  const states = r.states[lane.number] || [];
  const from = Math.max(flat[i], state.t0), to = Math.min(flat[i + 1], state.t1);
  let x1 = 0;
  const block = (a, b, runs) => {
    if (b <= a) return;
    const p = xOf(a), q = Math.max(xOf(b), p + 0.8);
    c.fillStyle = runs ? C.ink : C.hatch.paused;
    c.fillRect(p, bar.y, q - p, bar.h);
    if (runs) inside(c, "in service", p + 8, q - 8, bar.y + bar.h / 2, FONT.tiny, C.paper);
    else {
      c.strokeStyle = C.ink; c.lineWidth = 1;
      c.strokeRect(p + 0.5, bar.y + 0.5, Math.max(0, q - p - 1), bar.h - 1);
      const w = textWidth(c, "not running", FONT.tiny);
      if (q - p > w + 30) {
        c.fillStyle = C.paper;
        c.fillRect((p + q - w) / 2 - 4, bar.y + 1, w + 8, bar.h - 2);
        c.font = FONT.tiny; c.fillStyle = C.ink; c.textBaseline = "middle";
        c.fillText("not running", (p + q - w) / 2, bar.y + bar.h / 2 + 0.5);
      }
    }
    x1 = q;
  };
  let at = from;
  for (let k = firstAt(states, 4, from); k < states.length && states[k] < to; k += 4) {
    if (states[k + 1] <= at) continue;
    if (states[k] > at) block(at, Math.min(to, states[k]), true);
    const a = Math.max(at, states[k]), b = Math.min(to, states[k + 1]);
    block(a, b, states[k + 2] === RUNS);
    at = Math.max(at, b);
  }
  if (at < to) block(at, to, true);
  return x1;
}

function drawPort(c, r, lane, place, j) {
  const bar = barOf(place, "port"), p = plainOf(r, lane), { flat } = p;
  drawSpans(c, p, 2, (i, x0, x1) => {
    c.globalAlpha = touches(j, flat[i], flat[i + 1]) ? 1 : 0.45;
    waiting(c, x0, x1, bar, true);
  }, bar, [C.second], j ? 0.6 : 1, 0);
}

// Ways of the interrupts that are not selected, while fewer than 60 are in view.
function othersPaths(c, r, j) {
  const first = Math.max(0, lowerBound(r.byStart, state.t0, (x) => x.start) - 30);
  const last = lowerBound(r.byStart, state.t1, (x) => x.start);
  if (last - first >= 60) return;
  c.strokeStyle = C.third;
  c.lineWidth = 1.2;
  c.globalAlpha = j ? 0.45 : 0.7;
  for (let n = first; n < last; n++) {
    const other = r.byStart[n];
    if (other === j || other.end < state.t0) continue;
    c.beginPath();
    let begun = false;
    for (const card of other.cards.slice(0, other.handled >= 0 ? other.handled + 1 : undefined)) {
      if (card.lane < 0) continue;
      const p = [xOf(card.time), badgeY(view.places.lanes[card.lane], r.lanes[card.lane].kind)];
      if (begun) c.lineTo(...p); else c.moveTo(...p);
      begun = true;
    }
    c.stroke();
    view.marks++;
  }
  c.globalAlpha = 1;
}
