"use strict";
// What the page holds, unpacked: times are ps after the begin of the window that all records share.

const DATA = JSON.parse(document.getElementById("data").textContent);
const STRIDE = { owners: 5, states: 4, vectors: 4, ports: 3, on: 3, exits: 7, processing: 6, asserts: 4, routes: 5 };
const IDLE = 0, XEN = 1, DOM0 = 2, GUEST = 3;
const RUNS = 0, IN_HOST = 1, RUNNABLE = 2, BLOCKED = 3, OFFLINE = 4;
const PENDING = 0, REQUESTED = 1, SERVICE = 2;

let RECORDS = DATA.records.map(unpack);
let SPAN = Math.max(1, RECORDS[0].span), LOW = RECORDS[0].low;

const state = {
  rec: 0, t0: 0, t1: SPAN, cursor: 0, sel: null, exit: null, lane: -1, bit: null,
  measure: null, query: "", said: "", compare: null, tour: -1,
};

// A page's own data hold differences of times; what its server sends later holds moments.
function fromDifferences(raw) {
  const sum = (flat, stride, spans) => {
    for (let i = 0, before = 0; i < flat.length; i += stride) {
      flat[i] += before;
      if (spans) flat[i + 1] += flat[i];
      before = flat[i + (spans ? 1 : 0)];
    }
  };
  for (const key of ["owners", "states", "vectors", "ports", "on"]) for (const flat of Object.values(raw[key])) sum(flat, STRIDE[key], true);
  for (const key of ["exits", "processing"]) sum(raw[key], STRIDE[key], true);
  for (const key of ["asserts", "routes"]) sum(raw[key], STRIDE[key], false);
  for (const found of Object.values(raw.registers)) sum(found.changes, 3, false);
  for (const found of Object.values(raw.lapics)) sum(found.changes, 2, false);
  raw.packed = 0;
}

function unpack(raw) {
  if (raw.packed) fromDifferences(raw);
  const r = Object.assign({}, raw);
  r.journeys = raw.journeys.map((j, n) => journeyOf(raw, j, n));
  r.byKey = new Map(r.journeys.map((j) => [keyOf(j), j]));
  r.byStart = r.journeys.slice().sort((a, b) => a.start - b.start);
  r.lanes = raw.lanes.map(([group, kind, label, detail, number, vector, members], n) =>
    ({ n, group, kind, label, detail, number, vector, members }));
  r.mergedAt = new Set();
  for (let i = 0; i < r.asserts.length; i += 4) if (r.asserts[i + 3]) r.mergedAt.add(r.asserts[i]);
  return r;
}

function journeyOf(raw, j, n) {
  const cards = raw.brief ? endsOf(j) : cardsOf(raw, j);
  return {
    n, source: j[0], serial: j[1], vcpu: j[2], vector: j[3], handled: j[4], merged: !!j[5], exits: j[6], touching: j[7],
    headline: raw.brief ? j[8] : raw.texts[j[8]], pcpus: j[9], latency: j[11], cards, start: cards[0].time, end: cards[cards.length - 1].time,
  };
}

// The first part of a record, for a comparison: what it does not hold is empty, lanes are those from before, and the
// whole is still to come.
function partsOf(before) {
  return {
    lanes: before ? before.lanes.map((l) => [l.group, l.kind, l.label, l.detail, l.number, l.vector, l.members]) : [],
    vectors: {}, ports: {}, on: {}, processing: [], asserts: [], routes: [], registers: {}, lapics: {}, texts: [], shapes: [], stale: true,
  };
}

function endsOf(j) {
  const card = (time) => ({ time, lane: -1, title: "", detail: "", sentence: "Its steps are being read.", cite: "", charges: [], rows: [] });
  return [card(j[12]), card(j[12] + j[13])];
}

// A step is three numbers: ps after the interrupt's first, its shape, its charges.
function cardsOf(raw, j) {
  const out = [], [source, serial] = j, flat = j[10];
  for (let i = 0; i < flat.length; i += 3) {
    const [lane, title, detail, sentence, cite, rows] = raw.shapes[flat[i + 1]];
    out.push({
      time: j[12] + flat[i], lane, title: raw.texts[title], detail: raw.texts[detail], sentence: raw.texts[sentence],
      cite: raw.texts[cite], charges: raw.shapes[flat[i + 2]],
      rows: rows.map((row) => ([1, 2, 69].includes(row[0]) && row[3] === source ? [...row.slice(0, 4), serial] : row)),
    });
  }
  return out;
}

function rec() { return RECORDS[state.rec]; }
function keyOf(j) { return j.source >= 0 ? `${j.source}.${j.serial}` : `v${j.vcpu}x${j.vector}.${j.serial}`; }
function selected() { return state.sel ? rec().byKey.get(state.sel.key) || null : null; }
function selectedStep() {
  const j = selected();
  return j ? j.cards[Math.min(state.sel.step, j.cards.length - 1)] : null;
}

// The spans of a lane as a flat list, its stride, and how to find the first that may touch a time.
function flatOf(r, lane) {
  if (lane.kind === "pcpu") return [r.owners[lane.number] || [], STRIDE.owners];
  if (lane.kind === "vcpu") return [r.states[lane.number] || [], STRIDE.states];
  if (lane.kind === "vector") return [r.vectors[`${lane.number}:${lane.vector}`] || [], STRIDE.vectors];
  if (lane.kind === "port") return [r.ports[`${lane.number}:${lane.vector}`] || [], STRIDE.ports];
  if (lane.kind === "pid") return [r.on[lane.number] || [], STRIDE.on];
  if (lane.kind === "device") return [r.asserts, STRIDE.asserts];
  return [r.routes, STRIDE.routes];
}

function firstAt(flat, stride, time) {
  let lo = 0, hi = flat.length / stride;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (flat[mid * stride] < time) lo = mid + 1; else hi = mid;
  }
  return Math.max(0, lo - 1) * stride;
}

function lowerBound(list, time, of = (x) => x) {
  let lo = 0, hi = list.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (of(list[mid]) < time) lo = mid + 1; else hi = mid;
  }
  return lo;
}

// Every moment at which something begins on a lane, or on any: what the arrow keys walk over.
function moments(r, lane) {
  r.walks = r.walks || new Map();
  const key = lane ? lane.n : -1;
  if (!r.walks.has(key)) {
    const out = new Set();
    for (const l of lane ? [lane] : r.lanes) {
      const [flat, stride] = flatOf(r, l);
      for (let i = 0; i < flat.length; i += stride) {
        if (l.kind === "device" && !l.members.includes(flat[i + 1])) continue;
        out.add(flat[i]);
        if (stride < 5 && l.kind !== "device" && l.kind !== "vcpu") out.add(flat[i + 1]);
      }
    }
    for (const j of r.journeys) for (const c of j.cards) if (!lane || c.lane === lane.n) out.add(c.time);
    r.walks.set(key, Float64Array.from(out).sort());
  }
  return r.walks.get(key);
}

// Exits on one pCPU, in order.
function exitsOn(r, pcpu) {
  r.exitLists = r.exitLists || new Map();
  if (!r.exitLists.has(pcpu)) {
    const out = [];
    for (let i = 0; i < r.exits.length; i += 7) {
      if (r.exits[i + 2] === pcpu) out.push(exitAt(r, i));
    }
    r.exitLists.set(pcpu, out);
  }
  return r.exitLists.get(pcpu);
}

// The exit that began at a moment on one of some pCPUs.
function exitOfTime(r, pcpus, time) {
  for (const pcpu of pcpus) {
    const list = exitsOn(r, pcpu), x = list[lowerBound(list, time, (e) => e.start)];
    if (x && x.start === time) return x;
  }
  return null;
}

function exitAt(r, i) {
  const flat = r.exits, start = flat[i], end = flat[i + 1], pcpu = flat[i + 2], vcpu = flat[i + 3], reason = flat[i + 4], argument = flat[i + 5], closed = flat[i + 6];
  return { start, end, pcpu, vcpu, reason, argument, closed: !!closed };
}

function reasonOf(r, reason) { return r.reasons[reason] || [`reason ${reason}`, 6, 0]; }
function vcpuName(r, v) { return v >= 0 ? r.vcpus[v] || `vCPU${v}` : ""; }
function hex(v, n = 2) { return `0x${v.toString(16).padStart(n, "0")}`; }

// What an exit's slice says inside: the host vector and whose it is, or the vector that ended.
function exitText(r, x) {
  const [name] = reasonOf(r, x.reason);
  if (name === "EXTERNAL_INTERRUPT") {
    const source = r.hostVectors.indexOf(x.argument);
    return hex(x.argument) + (source >= 0 ? ` ${r.sources[source].split(".")[0]}` : "");
  }
  if (name === "EOI_INDUCED") return `EOI ${hex(x.argument)}`;
  return name.toLowerCase().replaceAll("_", " ");
}

function stateAt(r, vcpu, time) {
  const flat = r.states[vcpu] || [];
  const i = firstAt(flat, 4, time + 0.5);
  return i < flat.length && flat[i] <= time && time < flat[i + 1] ? flat[i + 2] : -1;
}

// Times and durations in words. A number and its unit never part.
const NB = "\u00a0";
function group(text) {
  const [whole, rest] = text.split(".");
  const parts = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u2009");
  return rest === undefined ? parts : `${parts}.${rest}`;
}
function lasting(ps) {
  const ns = Math.round(ps / 1000);
  if (ps < 1000) return `${Math.round(ps)}${NB}ps`;
  if (ns < 1000) return `${ns}${NB}ns`;
  if (ns < 1e6) return `${group((ns / 1000).toFixed(3))}${NB}µs`;
  return `${group((ps / 1e9).toFixed(3))}${NB}ms`;
}

function brief(ps) {
  for (const [unit, name] of [[1e12, "s"], [1e9, "ms"], [1e6, "µs"], [1e3, "ns"]]) {
    if (ps >= unit) return `${(ps / unit).toPrecision(3).replace(/e.*/, "")}${NB}${name}`.replace(/\.?0+(?=\u00a0)/, (z) => (z.startsWith(".") ? "" : z));
  }
  return `${ps}${NB}ps`;
}

// One offset for a zoom level: labels stay short, and the offset stands at the ruler's left.
// A moment far from the view is told from the record's begin.
function scaleOf(at = state.t0) {
  const span = state.t1 - state.t0;
  const unit = span < 5e5 ? 1e3 : span < 5e9 ? 1e6 : 1e9;
  const base = Math.pow(10, Math.ceil(Math.log10(span * 10)));
  const first = Math.max(0, Math.floor((LOW + state.t0) / base) * base), offset = LOW + at < first || LOW + at >= first + 2 * base ? 0 : first;
  return { unit, offset, name: unit === 1e3 ? "ns" : unit === 1e6 ? "µs" : "ms" };
}
function clock(time, scale = scaleOf()) {
  const value = (LOW + time - scale.offset) / scale.unit;
  return group(value.toFixed(3));
}
function offsetText(scale) {
  if (scale.offset === 0) return scale.name;
  const ms = scale.offset / 1e9;
  const digits = ms % 1 === 0 ? 0 : scale.unit === 1e3 ? 5 : 3;
  return `${scale.name} + ${group(ms.toFixed(digits))} ms`;
}
function full(time) {
  return `${group(((LOW + time) / 1e6).toFixed(3))}${NB}µs`;
}
function escaped(text) {
  return String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
}
