// Over the canvas: the selected interrupt's way, its numbered steps, what touches it, the cursor and a measure.

function drawOver() {
  const svg = document.getElementById("over");
  const x = xOf(state.cursor);
  let out = "";
  if (x >= -1 && x <= view.width + 1) out += `<path class="line" d="M${x.toFixed(1)} 0V${view.places.height}"/>`;
  const j = selected();
  if (j) out += elsewhere(j) || touchLines(j) + way(j);
  out += measureMark();
  const shape = `${view.width} ${view.places.height} ${out}`;
  if (svg.shape === shape) return;
  svg.shape = shape;
  svg.setAttribute("width", view.width);
  svg.setAttribute("height", view.places.height);
  svg.innerHTML = out;
}

// Where the selection is when it is not in view.
function elsewhere(j) {
  if (j.end >= state.t0 && j.start <= state.t1) return "";
  const before = j.end < state.t0, lane = view.places.lanes[Math.max(0, j.cards[0].lane)];
  const text = `${before ? "← " : ""}${escaped(j.headline)} is at ${full(j.start)}: press F${before ? "" : " →"}`;
  return `<text class="says" x="${before ? 8 : view.width - 8}" y="${lane.y + lane.h / 2 + 4}" text-anchor="${before ? "start" : "end"}">${text}</text>`;
}

function pointsOf(j) {
  const r = rec(), points = j.cards.map((card, n) => ({ n, x: xOf(card.time), lane: card.lane })).filter((p) => p.lane >= 0);
  for (const p of points) p.y = badgeY(view.places.lanes[p.lane], r.lanes[p.lane].kind);
  return points;
}

function way(j) {
  const r = rec(), points = pointsOf(j);
  if (!points.length) return "";
  const far = (v) => Math.max(-1e5, Math.min(1e5, v)).toFixed(1);
  const bars = ["vector", "port"];
  const on = (p, n) => n > 0 && !(points[n - 1].lane === p.lane && bars.includes(r.lanes[p.lane].kind));
  const d = points.map((p, n) => `${on(p, n) ? "L" : "M"}${far(p.x)} ${p.y}`).join("");
  let out = `<path class="halo" d="${d}"/><path class="path" d="${d}"/>`;
  const groups = badgesOf(points);
  for (const g of groups) {
    if (g.x < -30 || g.x > view.width + 30) continue;
    const now = g.members.includes(state.sel.step);
    out += `<g class="badge${now ? " now" : ""}" data-steps="${g.members.join()}" transform="translate(${g.middle.toFixed(1)} ${g.y})">`
      + `<rect x="${-g.half}" y="-7.5" width="${2 * g.half}" height="15" rx="7.5"/><text y="3.4">${g.text}</text>${g.first < g.last ? `<title>Steps ${g.text}: a click goes from one to the next</title>` : ""}</g>`;
  }
  const first = groups[0];
  if (first && r.lanes[first.lane].kind === "device" && first.x > -30) {
    out += `<text class="says" x="${(first.x + 13).toFixed(1)}" y="${first.y + 4}">${escaped(j.headline)}</text>`;
  }
  return out;
}

// What the selection's line and badges cover at a height, as pairs of x: texts on the canvas keep clear of them.
function covered(y) {
  const j = state.compare ? null : selected();
  if (!j || j.end < state.t0 || j.start > state.t1) return [];
  if (!view.cover) {
    const points = pointsOf(j);
    view.cover = { points, badges: badgesOf(points), rows: new Map() };
  }
  const { points, badges, rows } = view.cover;
  if (!rows.has(y)) {
    const out = badges.filter((g) => Math.abs(g.y - y) < 14).map((g) => [g.middle - g.half - 2, g.right + 2]);
    for (let n = 1; n < points.length; n++) {
      const [a, b] = [points[n - 1], points[n]], low = Math.min(a.y, b.y), high = Math.max(a.y, b.y);
      if (a.lane === b.lane || y < low - 6 || y > high + 6) continue;
      const x = (at) => a.x + (Math.max(low, Math.min(high, at)) - a.y) / (b.y - a.y || 1) * (b.x - a.x);
      out.push([Math.min(x(y - 6), x(y + 6)) - 3, Math.max(x(y - 6), x(y + 6)) + 3]);
    }
    rows.set(y, out.sort((p, q) => p[0] - q[0]));
  }
  return rows.get(y);
}

// Where a text that would begin at an x begins instead to stand clear, if it then ends before a limit; else where it was.
function clearOf(left, wide, y, limit) {
  let at = left;
  for (const [a, b] of covered(y)) if (a < at + wide && b > at) at = b + 2;
  return at + wide <= limit ? at : left;
}

// Steps of one lane whose badges would touch share one, as wide as its text, over its first step or beside the badge before.
function badgesOf(points) {
  const groups = [];
  const shape = (g) => {
    const before = groups.findLast((other) => other.lane === g.lane && other !== g);
    g.text = g.first === g.last ? `${g.first + 1}` : `${g.first + 1}–${g.last + 1}`;
    g.half = g.text.length < 2 ? 7.5 : g.text.length < 3 ? 8.5 : 5 + g.text.length * 3;
    g.middle = before ? Math.max(g.x, Math.min(before.right + g.half, g.x + g.half)) : g.x;
    g.right = g.middle + g.half;
  };
  for (const p of points) {
    const near = groups.findLast((g) => g.lane === p.lane);
    if (near && p.n === near.last + 1 && p.x - 8.5 < near.right) { near.last = p.n; near.end = Math.max(near.end, p.x); near.members.push(p.n); shape(near); }
    else { groups.push({ lane: p.lane, first: p.n, last: p.n, x: p.x, end: p.x, y: p.y, members: [p.n] }); shape(groups.at(-1)); }
  }
  return groups;
}

// The time of the last moment of a list at or before another, that fits; -1 when none of the thousand before it does.
function lastBefore(flat, stride, time, fits) {
  const last = firstAt(flat, stride, time + 0.5);
  for (let i = last; i >= Math.max(0, last - 1000 * stride); i -= stride) if (flat[i] <= time && fits(i)) return flat[i];
  return -1;
}

// Others' exits inside this interrupt, each from its device if the record shows it.
function touchLines(j) {
  const r = rec();
  let out = "";
  for (const time of j.touching.slice(0, 12)) {
    const x = exitOfTime(r, j.pcpus, time);
    if (!x) continue;
    const sign = reasonOf(r, x.reason)[1];
    const source = r.hostVectors.indexOf(x.argument);
    if (reasonOf(r, x.reason)[0] !== "EXTERNAL_INTERRUPT" || source < 0) continue;
    const from = lastBefore(r.asserts, 4, time, (i) => r.asserts[i + 1] === source);
    const route = lastBefore(r.routes, 5, time, (i) => r.routes[i + 2] === x.argument);
    const device = r.lanes.findIndex((l) => l.kind === "device" && l.members.includes(source));
    const irte = r.lanes.findIndex((l) => l.kind === "irte");
    const cpu = r.lanes.findIndex((l) => l.kind === "pcpu" && l.number === x.pcpu);
    if (from < 0 || device < 0 || cpu < 0) continue;
    const at = (t, lane) => `${xOf(t).toFixed(1)} ${badgeY(view.places.lanes[lane], r.lanes[lane].kind)}`;
    const bar = barOf(view.places.lanes[cpu], "pcpu");
    const mid = route >= from && irte >= 0 ? `L${at(route, irte)}` : "";
    out += `<path class="touch" stroke="var(--reason-${sign})" d="M${at(from, device)}${mid}L${xOf(time).toFixed(1)} ${bar.y - 15}"/>`;
  }
  return out;
}

function measureMark() {
  const m = state.measure;
  if (!m) return "";
  const a = xOf(m.a), b = xOf(m.b === null ? state.cursor : m.b);
  const y = 34, far = Math.max(a, b);
  const text = lasting(Math.abs((m.b === null ? state.cursor : m.b) - m.a));
  return `<rect class="measured" x="${Math.min(a, b)}" y="0" width="${Math.max(1, far - Math.min(a, b))}" height="${view.places.height}"/>`
    + `<text class="says" x="${Math.min(view.width - 80, far + 6)}" y="${y}">${text}</text>`;
}
