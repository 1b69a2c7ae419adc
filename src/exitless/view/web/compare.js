// Compare: mechanisms in rows on one time axis, each with its own arrival lines, and below what differs.

const ROW_HIGH = 142;
const FAVOURITES = ["pvhvm", "apicv", "vtd-posted"];

function compared() {
  return (state.compare || []).map((name) => RECORDS.findIndex((r) => r.name === name)).filter((n) => n >= 0);
}

function toggleCompare() {
  if (RECORDS.length < 2) return "There is only one record here: nothing to compare it with.";
  if (state.compare) { state.compare = null; wantShown(); return "Back to one mechanism."; }
  leaveTour();
  const names = new Set(FAVOURITES.filter((name) => RECORDS.some((r) => r.name === name)));
  names.add(rec().name);
  for (const r of RECORDS) if (names.size < 2) names.add(r.name);
  state.compare = RECORDS.map((r) => r.name).filter((name) => names.has(name));
  widen();
  wantShown();
  return "Keys 1 to 9 and the tabs add a mechanism or take it out; C leaves.";
}

// A comparison begins with some five arrivals in view.
function widen() {
  const r = rec(), ways = r.byStart.filter((j) => j.source === comparedSource());
  const n = lowerBound(ways, state.cursor, (j) => j.start);
  const part = ways.slice(Math.max(0, n - 3), n + 2);
  if (part.length < 2) return;
  const low = part[0].start, high = part.at(-1).end, spare = (high - low) * 0.06;
  if (high - low > state.t1 - state.t0) setView(low - spare, Math.min(high + spare, low + (high - low) * 1.06));
}

function toggleCompared(n) {
  const name = RECORDS[n].name, kept = state.compare.filter((x) => x !== name);
  if (kept.length === state.compare.length) state.compare = RECORDS.map((r) => r.name).filter((x) => kept.includes(x) || x === name);
  else if (kept.length < 2) return "A comparison needs two mechanisms; C leaves it.";
  else state.compare = kept;
  if (state.compare.includes(rec().name) === false) { const before = state.compare[state.compare.length - 1]; useRecord(RECORDS.findIndex((r) => r.name === before)); }
  wantShown();
  return state.compare.join(", ");
}

function columnsOf() {
  const source = comparedSource();
  const name = source >= 0 ? rec().sources[source] : "";
  return compared().map((n, place) => {
    const r = RECORDS[n], own = r.sources.indexOf(name);
    return { r, place, source: own, n: numbersOf(r, own) };
  });
}

function compareFrame() {
  const node = document.getElementById("compare"), columns = columnsOf();
  const key = columns.map((c) => c.r.name).join();
  if (node.dataset.key !== key) {
    node.dataset.key = key;
    node.innerHTML = `<div class="crow axisrow"><div class="head" id="comparehead"></div><canvas id="compareruler" role="img" aria-label="Time"></canvas><div class="quiet side">this window</div></div>`
      + columns.map((c) => `<div class="crow" data-rec="${escaped(c.r.name)}"><div class="head"></div><canvas role="img" aria-label="${escaped(c.r.name)}"></canvas><div class="side"></div></div>`).join("")
      + '<div class="panels"><section id="perinterrupt"></section><section id="cdf"></section><section id="difference"></section></div>';
  }
  return { node, columns };
}

function drawCompare() {
  const { node, columns } = compareFrame();
  const plots = [...node.querySelectorAll(".crow canvas")];
  view.width = Math.max(60, plots[0].parentNode.clientWidth - sides(node));
  document.getElementById("comparehead").textContent = offsetText(scaleOf());
  drawRuler(prepare(plots[0], view.width, 26), view.width, 26);
  view.marks = 0;
  columns.forEach((c, n) => drawCompared(prepare(plots[n + 1], view.width, ROW_HIGH), c, node.querySelectorAll(".crow")[n + 1]));
}

function sides(node) {
  const row = node.querySelector(".crow");
  return row.firstElementChild.offsetWidth + row.lastElementChild.offsetWidth;
}

function drawCompared(c2d, c, row) {
  const { r, n } = c;
  c2d.fillStyle = C.fine;
  for (const tick of ticks()) c2d.fillRect(Math.round(xOf(tick.time)), 0, 1, ROW_HIGH);
  const seen = n.ways.filter((j) => j.end >= state.t0 && j.start <= state.t1);
  c2d.strokeStyle = C.second;
  c2d.setLineDash([2, 3]);
  c2d.lineWidth = 1.2;
  if (seen.length <= 80) for (const j of seen) { const x = Math.round(xOf(j.start)) + 0.5; c2d.beginPath(); c2d.moveTo(x, 0); c2d.lineTo(x, ROW_HIGH); c2d.stroke(); }
  c2d.setLineDash([]);
  if (n.home >= 0) drawPcpu(c2d, r, { kind: "pcpu", number: n.home, label: `pCPU${n.home}` }, { y: 12, h: 54, chosen: true });
  drawWays(c2d, r, n, seen);
  const own = exitsOn(r, n.home).filter((x) => x.start >= state.t0 && x.start <= state.t1).length;
  const waits = Float64Array.from(seen.filter((j) => j.latency >= 0 && j.start >= state.t0), (j) => j.latency).sort();
  const head = row.firstElementChild, side = row.lastElementChild;
  const says = saysOf(r);
  const label = c.source >= 0 ? r.sources[c.source] : "no such source", vector = n.ways.length && n.ways[0].vector >= 0 ? ` ${hex(n.ways[0].vector)}` : "";
  setHtml(head, `<b>${escaped(r.name)}${r.stale && !r.brief ? ' <span class="chip">before the change</span>' : ""}</b><p>${escaped(says)}</p><span class="lane1">pCPU${n.home}</span><span class="lane2">${escaped(label)}${vector}</span>`);
  setHtml(side, `<b class="mono big">${group(String(own))}</b> exits<br><b class="mono">${us(rank(waits, 0.5))}</b> µs median<br><b class="mono">${us(waits.length ? waits.at(-1) : -1)}</b> µs worst`);
}

function setHtml(node, html) { if (node.dataset.html !== html) { node.dataset.html = html; node.innerHTML = html; } }

// Each interrupt: waiting is an outline, its handler is filled, hatched while its vCPU does not run.
function drawWays(c, r, n, seen) {
  const y = 82, h = 16;
  let free = -1e9, last = -9;
  for (const j of seen) {
    const x0 = xOf(j.start), handled = j.latency >= 0 ? xOf(j.start + j.latency) : xOf(j.end), x1 = xOf(j.end);
    view.marks++;
    if (x1 - x0 < 3) { if (Math.floor(x0) !== last) { c.fillStyle = C.ink; c.fillRect(x0, y, 1.2, h); last = Math.floor(x0); } continue; }
    if (handled - x0 > 1) {
      c.fillStyle = C.paper; c.fillRect(x0, y, handled - x0, h);
      c.strokeStyle = C.ink; c.lineWidth = 1.3;
      if (j.merged || j.latency < 0) c.setLineDash([2, 2]);
      c.strokeRect(x0 + 0.65, y + 0.65, Math.max(0.5, handled - x0 - 1.3), h - 1.3);
      c.setLineDash([]);
    }
    if (j.latency >= 0) service(c, r, { number: j.vcpu }, [j.start + j.latency, j.end, SERVICE, 1], 0, { y, h });
    const text = j.latency >= 0 ? `${us(j.latency)} µs` : j.merged ? "merged" : "";
    if (j.latency >= 0 && handled - x0 > 2) { c.fillStyle = C.ink; c.fillRect(x0, y + h + 4, handled - x0, 1.5); }
    const serial = `#${j.serial}`, wide = Math.max(textWidth(c, text, FONT.mono), textWidth(c, serial, FONT.small));
    if (x0 < free || x0 + wide > view.width || x0 < 0) continue;
    c.textBaseline = "middle";
    c.fillStyle = C.paper; c.fillRect(x0 + 2, y + h + 8, wide + 4, 26);
    c.font = FONT.mono; c.fillStyle = C.ink; c.fillText(text, x0 + 3, y + h + 15);
    c.font = FONT.small; c.fillStyle = C.second; c.fillText(serial, x0 + 3, y + h + 28);
    free = x0 + wide + 12;
  }
}

function drawDistributions() {
  const { node, columns } = compareFrame();
  const source = columns.length && columns[0].source >= 0 ? columns[0].r.sources[columns[0].source] : "";
  const wide = (id) => Math.max(220, document.getElementById(id).clientWidth - 28);
  const told = (n) => `${group(String(n))} ${n === 1 ? "interrupt" : "interrupts"}`;
  node.querySelector("#perinterrupt").innerHTML = `<h2>Exits per ${escaped(source)} interrupt<span>charged to it, ${brief(SPAN)}</span></h2>${stackedSvg(columns, wide("perinterrupt"), 210)}`;
  node.querySelector("#cdf").innerHTML = `<h2>Latency distribution<span>${told(columns.length ? columns[0].n.done.length : 0)} to their handler under ${escaped(columns.length ? columns[0].r.name : "")}</span></h2>${cdfSvg(columns, wide("cdf"), 236)}`;
  node.querySelector("#difference").innerHTML = differenceTable(columns);
}

function differenceTable(columns) {
  const base = columns[0];
  const cell = (value, first, show, plain) => {
    const gap = value - first, sign = gap > 0 ? "+" : gap < 0 ? "−" : "±";
    return `<td class="n">${value < 0 ? "?" : show(value)}${plain || value < 0 || first < 0 ? "" : `<small>${sign}${show(Math.abs(gap))}</small>`}</td>`;
  };
  const line = (head, of, show, cls = "") => {
    const first = of(base);
    return `<tr class="${cls}"><td>${head}</td>${columns.map((c, n) => cell(of(c), first, show, n === 0)).join("")}</tr>`;
  };
  const whole = (v) => group(String(v)), time = (v) => (v / 1e6).toFixed(2), share = (v) => `${(v * 100).toFixed(1)} %`;
  const totals = (c) => Object.values(c.r.reasons).reduce((sum, x) => sum + x[2], 0);
  const reasons = new Map();
  for (const c of columns) for (const [name, sign, n] of Object.values(c.r.reasons)) if (n) reasons.set(name, sign);
  const byName = (c, name) => (Object.values(c.r.reasons).find((x) => x[0] === name) || [0, 0, 0])[2];
  const rows = [line("<b>Exits, all</b>", totals, whole)];
  for (const [name, sign] of [...reasons].sort((p, q) => p[1] - q[1])) rows.push(line(`${glyphSvg(sign)}${escaped(name)}`, (c) => byName(c, name), whole, "sub"));
  rows.push(line("<b>Interrupts asserted</b>", (c) => c.n.ways.length, whole));
  for (const [name, at] of [["p50", 0.5], ["p99", 0.99], ["worst", 1]]) rows.push(line(`<b>Latency ${name}</b>, µs`, (c) => rank(c.n.latencies, at), time));
  rows.push(line(`<b>pCPU${base.n.home} in ${escaped(base.r.host)}</b>`, (c) => c.n.xen, share));
  return `<h2>Difference<span>to ${escaped(base.r.name)}, ${brief(SPAN)}, seed ${base.r.seed || "–"}</span></h2><div class="scroll"><table><thead><tr><th></th>${columns.map((c) => `<th class="n">${escaped(c.r.name)}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function listenCompare() {
  const node = document.getElementById("compare");
  let grip = null;
  node.addEventListener("wheel", onWheel, { passive: false });
  node.addEventListener("pointerdown", (e) => { if (e.target.tagName === "CANVAS") { grip = { x: e.clientX, t0: state.t0, t1: state.t1 }; e.target.setPointerCapture(e.pointerId); } });
  node.addEventListener("pointermove", (e) => {
    if (!grip) return;
    const moved = (grip.x - e.clientX) / view.width * (grip.t1 - grip.t0);
    setView(grip.t0 + moved, grip.t1 + moved);
  });
  node.addEventListener("pointerup", () => { grip = null; writeHash(); });
}
