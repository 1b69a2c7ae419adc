// What a record amounts to for one source: latencies, exits an interrupt by reason, a pCPU's time; computed once.

// The source that is compared: the selection's, else the first device that interrupts a guest.
function comparedSource() {
  const j = selected();
  if (j && j.source >= 0) return j.source;
  const r = rec(), device = r.lanes.find((l) => l.kind === "device" && l.members.some((s) => r.journeys.some((x) => x.source === s)));
  if (device) return device.members.find((s) => r.journeys.some((x) => x.source === s));
  return r.journeys.length ? r.journeys[0].source : -1;
}

function numbersOf(r, source) {
  r.numbers = r.numbers || new Map();
  if (!r.numbers.has(source)) r.numbers.set(source, count(r, source));
  return r.numbers.get(source);
}

function count(r, source) {
  const ways = r.byStart.filter((j) => j.source === source);
  const done = ways.filter((j) => j.latency >= 0);
  const [handled, causes] = r.causes[source] || [0, []];
  const latencies = Float64Array.from(done, (j) => j.latency).sort();
  const vcpu = ways.length ? ways[0].vcpu : -1;
  const home = homeOf(r, vcpu, ways);
  return { ways, done, latencies, handled, causes, vcpu, home, xen: shareOfHost(r, home) };
}

// The pCPU on which a vCPU's interrupts are dealt with most often.
function homeOf(r, vcpu, ways) {
  const seen = new Map();
  for (let i = 0; i < r.exits.length; i += 7) if (r.exits[i + 3] === vcpu) seen.set(r.exits[i + 2], (seen.get(r.exits[i + 2]) || 0) + 1);
  if (!seen.size) for (const j of ways) for (const p of j.pcpus) seen.set(p, (seen.get(p) || 0) + 1);
  let best = -1, most = 0;
  for (const [pcpu, n] of seen) if (n > most) { best = pcpu; most = n; }
  return best >= 0 ? best : Number(Object.keys(r.owners)[0] ?? -1);
}

function shareOfHost(r, pcpu) {
  const flat = r.owners[pcpu] || [];
  let host = 0, all = 0;
  for (let i = 0; i < flat.length; i += 5) {
    const long = flat[i + 1] - flat[i];
    all += long;
    if (flat[i + 2] === XEN) host += long;
  }
  return all ? host / all : -1;
}

// The value at or below which a share of a sorted sample lies: nearest rank, as the command line counts.
function rank(sorted, share) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] : -1;
}

function us(ps) { return ps < 0 ? "?" : (ps / 1e6).toFixed(ps < 1e7 ? 2 : 1); }

// A log axis from a power's 1, 2 or 5 below the smallest to one above the largest.
function logTicks(low, high) {
  const out = [];
  for (let p = Math.floor(Math.log10(low)) - 1; p <= Math.ceil(Math.log10(high)) + 1; p++) for (const m of [1, 2, 5]) out.push(m * Math.pow(10, p));
  const first = Math.max(0, out.findIndex((t) => t > low * 0.999) - 1), last = out.findIndex((t) => t >= high * 1.001);
  return out.slice(first, last < 0 ? out.length : last + 1);
}

const DASHES = ["", "7 4", "2 4", "9 3 2 3", "1 5", "12 4", "4 2", "6 2 1 2", "3 6"];

function cdfSvg(columns, width, height) {
  const told = columns.filter((c) => c.n.latencies.length);
  if (!told.length) return '<p class="empty">No interrupt reached its handler in this record.</p>';
  const low = Math.min(...told.map((c) => c.n.latencies[0])) / 1e6, high = Math.max(...told.map((c) => c.n.latencies.at(-1))) / 1e6;
  const ticks = logTicks(Math.max(low, 1e-4), Math.max(high, low * 1.5, 1e-3)), a = Math.log10(ticks[0]), b = Math.log10(ticks.at(-1));
  const left = 34, right = 12, top = 12, rows = Math.ceil(told.length / 2), bottom = 36 + rows * 17;
  height += rows * 17 - 20;
  const x = (v) => left + (Math.log10(Math.max(v, ticks[0])) - a) / (b - a) * (width - left - right);
  const y = (share) => top + (1 - share) * (height - top - bottom);
  let out = "";
  for (const share of [0, 0.5, 0.9, 1]) out += `<path class="fine" d="M${left} ${y(share)}H${width - right}"/><text class="axis" x="${left - 6}" y="${y(share) + 3.5}" text-anchor="end">${share === 0 || share === 1 ? share : String(share).slice(1)}</text>`;
  let before = -99;
  for (const t of ticks) {
    out += `<path class="fine" d="M${x(t).toFixed(1)} ${top}V${height - bottom}"/>`;
    if (x(t) - before > 30) { out += `<text class="axis" x="${x(t).toFixed(1)}" y="${height - bottom + 14}" text-anchor="middle">${Number(t.toPrecision(3))}</text>`; before = x(t); }
  }
  out += `<text class="axis sans" x="${width - right}" y="${height - bottom + 28}" text-anchor="end">µs, assert to first handler instruction (log)</text>`;
  const marks = [];
  told.forEach((c) => {
    const s = c.n.latencies, step = Math.max(1, Math.floor(s.length / 400));
    let d = `M${x(s[0] / 1e6).toFixed(1)} ${y(0)}`;
    for (let i = 0; i < s.length; i += step) d += `H${x(s[i] / 1e6).toFixed(1)}V${y((i + 1) / s.length).toFixed(1)}`;
    d += `H${x(s.at(-1) / 1e6).toFixed(1)}V${y(1)}`;
    out += `<path class="cdf" d="${d}" stroke-dasharray="${DASHES[(columns.length - 1 - c.place) % DASHES.length]}"/>`;
    marks.push({ c, dash: DASHES[(columns.length - 1 - c.place) % DASHES.length], x: x(rank(s, 0.5) / 1e6), p50: rank(s, 0.5) });
  });
  out += labelsOf(marks, left, width - right, y(0.5), height - bottom + 46);
  return `<svg class="chart" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Latency distribution">${out}</svg>`;
}

// Each curve's name, line and median, in two columns under the axis, where no curve is.
function labelsOf(marks, left, right, middle, top) {
  let out = "";
  for (const m of marks) out += `<circle class="median" cx="${m.x.toFixed(1)}" cy="${middle}" r="3.4"/>`;
  const wide = (right - left + 24) / 2;
  marks.forEach((m, n) => {
    const x = left - 24 + n % 2 * wide, y = top + Math.floor(n / 2) * 17;
    out += `<path class="cdf" d="M${x} ${y - 4}h26" stroke-dasharray="${m.dash}"/><text class="curve" x="${x + 32}" y="${y}">${escaped(m.c.r.name)}</text><text class="axis" x="${x + wide - 14}" y="${y}" text-anchor="end">p50 ${us(m.p50)}</text>`;
  });
  return out;
}

function stackedSvg(columns, width, height) {
  const rows = columns.map((c) => {
    const parts = c.n.causes.map(([reason, n]) => ({ reason, each: n / Math.max(1, c.n.handled) })).sort((p, q) => reasonOf(c.r, p.reason)[1] - reasonOf(c.r, q.reason)[1]);
    return { c, parts, sum: parts.reduce((sum, p) => sum + p.each, 0) };
  });
  return barsSvg(rows.map((row) => ({ name: row.c.r.name, sum: row.sum, parts: row.parts.map((p) => ({ sign: reasonOf(row.c.r, p.reason)[1], each: p.each, says: reasonOf(row.c.r, p.reason)[0] })) })), width, height);
}

function barsSvg(rows, width, height) {
  const most = Math.max(0.1, ...rows.map((row) => row.sum)), left = 108, right = 52;
  const step = Math.min(46, (height - 24) / Math.max(1, rows.length)), bar = Math.min(26, step * 0.72);
  const unit = (width - left - right) / most;
  const grain = most > 8 ? 2 : most > 2 ? 1 : most > 0.5 ? 0.5 : 0.1;
  let out = "";
  const foot = rows.length * step + 4;
  for (let v = 0; v <= most + 1e-9; v += grain) out += `<path class="fine" d="M${left + v * unit} 0V${foot}"/><text class="axis" x="${left + v * unit}" y="${foot + 13}" text-anchor="middle">${Number(v.toFixed(1))}</text>`;
  rows.forEach((row, n) => {
    const y = n * step + (step - bar) / 2;
    let x = left;
    out += `<text class="curve" x="${left - 10}" y="${y + bar / 2 + 4}" text-anchor="end">${escaped(row.name)}</text>`;
    for (const p of row.parts) {
      const w = Math.max(0.8, p.each * unit), ink = p.sign === 1 || p.sign === 5 ? `on-reason-${p.sign}` : p.sign === 6 ? "paper" : "on-reason";
      out += `<rect x="${x}" y="${y}" width="${w}" height="${bar}" fill="var(--reason-${p.sign})"><title>${escaped(p.says)} ${p.each.toFixed(2)}</title></rect>`;
      if (w > 46 && bar > 11) {
        const open = p.sign === 1 || p.sign === 6;
        out += `<g transform="translate(${x + 11} ${y + bar / 2}) scale(.8)"><path d="${GLYPHS[p.sign]}" ${open ? `fill="none" stroke="var(--${ink})" stroke-width="2"` : `fill="var(--${ink})"`}/></g><text class="inside" x="${x + 20}" y="${y + bar / 2 + 4}" style="fill:var(--${ink})">${p.each.toFixed(2)}</text>`;
      }
      x += w;
    }
    out += `<text class="total" x="${x + 8}" y="${y + bar / 2 + 4}">${row.sum.toFixed(2)}</text>`;
  });
  return `<svg class="chart" viewBox="0 0 ${width} ${foot + 18}" width="${width}" height="${foot + 18}" role="img" aria-label="Exits for one interrupt">${out}</svg>`;
}
