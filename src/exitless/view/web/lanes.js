// The lanes on the canvas: what fits is drawn itself, what does not becomes shares of a pixel's time.

let view = { width: 100, places: { lanes: [], heads: [], height: 0 }, marks: 0, frame: 0, told: -1e9, cover: null };

function xOf(time) { return (time - state.t0) / (state.t1 - state.t0) * view.width; }
function timeOf(x) { return state.t0 + x / view.width * (state.t1 - state.t0); }

function drawLanes(c) {
  const r = rec(), j = selected();
  view.marks = 0;
  view.cover = null;
  grid(c);
  othersPaths(c, r, j);
  const own = new Set(j ? j.cards.map((card) => card.lane) : []);
  r.lanes.forEach((lane, n) => {
    const place = view.places.lanes[n];
    const mine = own.has(n) || !j || (lane.kind === "vcpu" && lane.number === j.vcpu) || place.chosen;
    const ink = mine ? 1 : 0.45;
    c.globalAlpha = ink;
    ({ device: drawDevice, irte: drawRoutes, pid: drawPid, pcpu: drawPcpu, vcpu: drawVcpu, vector: drawVector,
      port: drawPort })[lane.kind](c, r, lane, place, j, ink);
    c.globalAlpha = 1;
  });
}

function grid(c) {
  for (const tick of ticks()) {
    c.fillStyle = C.fine;
    c.fillRect(Math.round(xOf(tick.time)), 0, 1, view.places.height);
  }
  view.places.heads.forEach((head) => {
    c.fillStyle = C.sunk;
    c.fillRect(0, head.y, view.width, HEAD);
  });
  c.fillStyle = C.fine;
  view.places.lanes.forEach((place) => c.fillRect(0, place.y + place.h - 1, view.width, 1));
}

function drawPcpu(c, r, lane, place, j, ink = 1) {
  const bar = barOf(place, "pcpu"), p = ownersOf(r, lane.number), { flat } = p;
  c.fillStyle = C.idle;
  for (let x = 0; x < view.width; x += 6) c.fillRect(x, bar.y + bar.h - 1, 3, 1);
  const texts = [];
  drawSpans(c, p, 3, (i, x0, x1) => {
    const owner = flat[i + 2], reason = flat[i + 3];
    ownerBar(c, r, owner, reason, x0, x1, bar);
    if (owner === IDLE) { if (x1 - x0 > 60) texts.push([x0, x1, "idle", C.second]); }
    else if (owner !== XEN) texts.push([x0, x1, vcpuName(r, flat[i + 4]), owner === DOM0 ? C["dom0-text"] : C["guest-text"]]);
    else if (reason < 0) texts.push([x0, x1, r.host, C["xen-text"]]);
  }, bar, [C.guest, C["dom0-hatch"], C.xen, ...C.reason], ink, 3);
  for (const [x0, x1, text, colour] of texts) inside(c, text, x0, x1, bar.y + bar.h / 2, FONT.text, colour, x0 <= -4 || x1 - x0 > 34);
  drawProcessing(c, r, lane.number, bar);
  drawExits(c, r, lane, place, bar);
}

function ownerBar(c, r, owner, reason, x0, x1, bar) {
  if (owner === IDLE) return;
  if (owner === XEN && reason >= 0) {
    c.fillStyle = C.reason[reasonOf(r, reason)[1]];
    c.fillRect(x0, bar.y, x1 - x0, bar.h);
    return;
  }
  const name = owner === XEN ? "xen" : owner === DOM0 ? "dom0" : "guest";
  c.fillStyle = owner === DOM0 ? C.hatch.dom0 : C[name];
  c.fillRect(x0, bar.y, x1 - x0, bar.h);
  c.fillStyle = C[`${name}-edge`];
  c.fillRect(x0, bar.y + bar.h - 1.5, x1 - x0, 1.5);
}

// A text inside a bar, at its left, only when all of it fits.
function inside(c, text, x0, x1, y, font, colour, room = true) {
  const wide = textWidth(c, text, font), limit = Math.min(x1, view.width) - 4;
  if (!room || Math.max(0, x0) + 6 + wide > limit) return false;
  const left = clearOf(Math.max(0, x0) + 6, wide, y, limit);
  c.font = font;
  c.fillStyle = colour;
  c.textBaseline = "middle";
  c.fillText(text, left, y + 0.5);
  return true;
}

function drawProcessing(c, r, pcpu, bar) {
  const p = processingOf(r, pcpu), strip = { y: bar.y - 2, h: 5 };
  drawSpans(c, p, 1.5, (i, x0, x1) => { c.fillStyle = C.ink; c.fillRect(x0, strip.y, x1 - x0, strip.h); }, strip, [C.ink], c.globalAlpha);
}

// Glyph, name and duration above each exit while they fit; else a strip of rates, stacked by reason.
function drawExits(c, r, lane, place, bar) {
  const list = exitsOn(r, lane.number);
  const first = Math.max(0, lowerBound(list, state.t0, (x) => x.end));
  const last = lowerBound(list, state.t1, (x) => x.start);
  const y = bar.y - 9;
  if (last - first > view.width / 9) { exitRates(c, r, list, first, last, lane.number, bar); return; }
  const near = (n, m) => n >= first && m < last && xOf(list[m].start) - xOf(list[n].start) < 9;
  for (let n = first; n < last; n++) {
    const x = list[n], x0 = xOf(x.start), x1 = xOf(x.end);
    if (near(n - 1, n) || near(n, n + 1)) { crowded(c, r, x, near(n - 1, n), x0, x1, bar); continue; }
    const [name, sign] = reasonOf(r, x.reason);
    if (x0 < -2) { inside(c, exitText(r, x), x0, x1, bar.y + bar.h / 2, FONT.name, C.on[sign]); continue; }
    const room = (n + 1 < last ? xOf(list[n + 1].start) : view.width + 40) - x0;
    glyph(c, sign, x0 + 0.5, y);
    c.fillStyle = C.reason[sign];
    c.fillRect(x0, y + 4, 1, bar.y - y - 4);
    view.marks++;
    const long = textWidth(c, name, FONT.name), time = lasting(x.end - x.start) + (x.closed ? "" : "…");
    const tail = textWidth(c, time, FONT.mono);
    c.textBaseline = "middle";
    let left = x0 + 9;
    if (9 + long + 8 < room && left + long < view.width) {
      left = clearOf(left, long, y, Math.min(x0 + room - 8, view.width, Math.max(x1, x0 + 30) + long));
      c.font = FONT.name; c.fillStyle = C.ink;
      c.fillText(name, left, y + 0.5);
      left += long + 6;
    }
    left = clearOf(left, tail, y, Math.min(x0 + room - 8, view.width));
    if (left - x0 + tail + 8 < room && left + tail < view.width) {
      c.font = FONT.mono; c.fillStyle = C.second;
      c.fillText(time, left, y + 0.5);
    }
    inside(c, exitText(r, x), x0, x1, bar.y + bar.h / 2, FONT.name, C.on[sign]);
  }
}

// An exit without room for its sign: a tick of its colour, and the slice's own text where that fits.
function crowded(c, r, x, follows, x0, x1, bar) {
  const sign = reasonOf(r, x.reason)[1];
  c.fillStyle = C.reason[sign];
  c.fillRect(x0 - 0.5, bar.y - (follows ? 9 : 12), 2.5, follows ? 6 : 9);
  view.marks++;
  inside(c, exitText(r, x), x0, x1, bar.y + bar.h / 2, FONT.name, C.on[sign]);
}

function exitRates(c, r, list, first, last, pcpu, bar) {
  const step = 3, wide = Math.ceil(view.width / step) + 1, p = exitRatesOf(r, pcpu);
  const bins = new Float32Array(wide * 7);
  let peak = 0;
  if (isDeep(p)) columns(p).forEach((n, at) => { bins[Math.floor(Math.floor(at / 7) / step) * 7 + at % 7] += n; });
  else for (let n = first; n < last; n++) {
    const at = Math.floor(xOf(list[n].start) / step);
    if (at >= 0 && at < wide) bins[at * 7 + reasonOf(r, list[n].reason)[1]]++;
  }
  for (let at = 0; at < wide; at++) peak = Math.max(peak, bins.subarray(at * 7, at * 7 + 7).reduce((a, b) => a + b, 0));
  drawShares(c, bins.map((n) => Math.min(1, n * Math.min(4, 12 / peak) / 12)), 7, { y: bar.y - 15, h: 12 }, C.reason, 0, step);
  const text = `peak ${peak} in ${brief(step * (state.t1 - state.t0) / view.width)}`;
  const w = textWidth(c, text, FONT.small);
  c.fillStyle = C.paper;
  c.fillRect(0, bar.y - 15, w + 10, 12);
  c.font = FONT.small; c.fillStyle = C.second; c.textBaseline = "middle";
  c.fillText(text, 4, bar.y - 8.5);
}
