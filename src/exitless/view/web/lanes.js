// The lanes on the canvas: what fits is drawn itself, what does not becomes shares of a pixel's time.

let view = { width: 100, places: { lanes: [], heads: [], height: 0 }, marks: 0, frame: 0 };

function xOf(time) { return (time - state.t0) / (state.t1 - state.t0) * view.width; }
function timeOf(x) { return state.t0 + x / view.width * (state.t1 - state.t0); }

function drawLanes(c) {
  const r = rec(), j = selected();
  view.marks = 0;
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

// Calls back for every span in view that is at least `least` px wide; the narrower ones go to `small`.
function spansIn(flat, stride, least, wide, small) {
  const scale = view.width / (state.t1 - state.t0);
  for (let i = firstAt(flat, stride, state.t0); i < flat.length && flat[i] < state.t1; i += stride) {
    if (flat[i + 1] < state.t0) continue;
    const x0 = (flat[i] - state.t0) * scale, x1 = (flat[i + 1] - state.t0) * scale;
    if (x1 - x0 >= least) { view.marks++; wide(i, Math.max(x0, -4), Math.min(x1, view.width + 4)); }
    else if (small) small(i, x0, x1);
  }
}

function drawPcpu(c, r, lane, place) {
  const [flat, stride] = flatOf(r, lane);
  const bar = barOf(place, "pcpu");
  const classes = 10;
  let bins = null;
  c.fillStyle = C.idle;
  for (let x = 0; x < view.width; x += 6) c.fillRect(x, bar.y + bar.h - 1, 3, 1);
  const texts = [];
  spansIn(flat, stride, 3, (i, x0, x1) => {
    const owner = flat[i + 2], reason = flat[i + 3];
    ownerBar(c, r, owner, reason, x0, x1, bar);
    if (owner === IDLE) { if (x1 - x0 > 60) texts.push([x0, x1, "idle", C.second]); }
    else if (owner !== XEN) texts.push([x0, x1, vcpuName(r, flat[i + 4]), owner === DOM0 ? C["dom0-text"] : C["guest-text"]]);
    else if (reason < 0) texts.push([x0, x1, r.host, C["xen-text"]]);
  }, (i, x0, x1) => {
    const owner = flat[i + 2];
    if (owner === IDLE) return;
    bins = bins || new Float64Array(Math.ceil(view.width + 1) * classes);
    const kind = owner === XEN ? (flat[i + 3] >= 0 ? 3 + reasonOf(r, flat[i + 3])[1] : 2) : owner === DOM0 ? 1 : 0;
    for (let x = Math.max(0, Math.floor(x0)); x <= Math.min(view.width, x1); x++) {
      bins[x * classes + kind] += Math.max(0, Math.min(x1, x + 1) - Math.max(x0, x));
    }
  });
  if (bins) drawShares(c, bins, classes, bar);
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

function drawShares(c, bins, classes, bar) {
  const colours = [C.guest, C["dom0-hatch"], C.xen, ...C.reason];
  for (let x = 0; x * classes < bins.length; x++) {
    let y = bar.y + bar.h;
    for (let k = 0; k < classes; k++) {
      const share = bins[x * classes + k];
      if (share <= 0) continue;
      const h = k >= 3 ? Math.max(1, share * bar.h) : share * bar.h;
      c.fillStyle = colours[k];
      c.fillRect(x, Math.max(bar.y, y - h), 1, h);
      y -= h;
    }
    if (y < bar.y + bar.h) view.marks++;
  }
}

// A text inside a bar, at its left, only when all of it fits.
function inside(c, text, x0, x1, y, font, colour, room = true) {
  const left = Math.max(0, x0) + 6;
  if (!room || left + textWidth(c, text, font) + 4 > Math.min(x1, view.width)) return false;
  c.font = font;
  c.fillStyle = colour;
  c.textBaseline = "middle";
  c.fillText(text, left, y + 0.5);
  return true;
}

function drawProcessing(c, r, pcpu, bar) {
  c.fillStyle = C.ink;
  const scale = view.width / (state.t1 - state.t0);
  for (let i = firstAt(r.processing, 6, state.t0 - 1e7); i < r.processing.length && r.processing[i] < state.t1; i += 6) {
    if (r.processing[i + 2] !== pcpu) continue;
    const x = (r.processing[i] - state.t0) * scale;
    c.fillRect(x, bar.y - 2, Math.max(1.5, (r.processing[i + 1] - r.processing[i]) * scale), 5);
    view.marks++;
  }
}

// Glyph, name and duration above each exit while they fit; else a strip of rates, stacked by reason.
function drawExits(c, r, lane, place, bar) {
  const list = exitsOn(r, lane.number);
  const first = Math.max(0, lowerBound(list, state.t0, (x) => x.end));
  const last = lowerBound(list, state.t1, (x) => x.start);
  const y = bar.y - 9;
  let dense = false;
  for (let n = first + 1; n < last && !dense; n++) dense = xOf(list[n].start) - xOf(list[n - 1].start) < 9;
  if (dense) { exitRates(c, r, list.slice(first, last), bar); return; }
  for (let n = first; n < last; n++) {
    const x = list[n], x0 = xOf(x.start), x1 = xOf(x.end);
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
      c.font = FONT.name; c.fillStyle = C.ink;
      c.fillText(name, left, y + 0.5);
      left += long + 6;
    }
    if (left - x0 + tail + 8 < room && left + tail < view.width) {
      c.font = FONT.mono; c.fillStyle = C.second;
      c.fillText(time, left, y + 0.5);
    }
    inside(c, exitText(r, x), x0, x1, bar.y + bar.h / 2, FONT.name, C.on[sign]);
  }
}

function exitRates(c, r, list, bar) {
  const step = 3, bins = new Map();
  let peak = 0;
  for (const x of list) {
    const at = Math.floor(xOf(x.start) / step);
    if (!bins.has(at)) bins.set(at, new Uint16Array(8));
    const b = bins.get(at);
    b[reasonOf(r, x.reason)[1]]++;
    peak = Math.max(peak, ++b[7]);
  }
  const unit = Math.max(1, 12 / peak);
  for (const [at, b] of bins) {
    let y = bar.y - 3;
    for (let k = 0; k < 7; k++) {
      if (!b[k]) continue;
      const h = Math.max(1, Math.min(12, b[k] * Math.min(unit, 4)));
      c.fillStyle = C.reason[k];
      c.fillRect(at * step, y - h, step - 0.5, h);
      y -= h;
      view.marks++;
    }
  }
  const text = `peak ${peak} in ${brief(step * (state.t1 - state.t0) / view.width)}`;
  const w = textWidth(c, text, FONT.small);
  c.fillStyle = C.paper;
  c.fillRect(0, bar.y - 15, w + 10, 12);
  c.font = FONT.small; c.fillStyle = C.second; c.textBaseline = "middle";
  c.fillText(text, 4, bar.y - 8.5);
}
