// The tour: each card asks one of the mail's questions, answers it from this run, and opens the moment that shows it.

let TOUR = DATA.tour || null;
let tourOld = false;

function hasTour() { return !!(TOUR && TOUR.length) || !!LIVE; }

async function startTour(at = 0) {
  if (state.tour >= 0) { leaveTour(); changed(); return; }
  if (!hasTour()) { state.said = "This page holds no tour: it is part of a simulated scenario."; changed(); return; }
  if (LIVE && (!TOUR || tourOld)) await fetchTour();
  if (!TOUR || !TOUR.length) { state.said = state.said || "This scenario has no device to ask about."; changed(); return; }
  state.compare = null;
  openCard(Math.max(0, Math.min(TOUR.length - 1, at)));
}

function openCard(n, focus = true) {
  state.tour = n;
  const m = TOUR[n].moment;
  if (m) goTo(m);
  changed();
  wantShown();
  frame();
  const node = document.querySelector("#panel .tournext");
  if (node && focus) node.focus({ preventScroll: true });
}

// The moment of a card: the mechanism, the interrupt if there is one, and a window about it.
function goTo(m) {
  const n = RECORDS.findIndex((r) => r.name === m.mechanism);
  if (n < 0) return;
  if (n !== state.rec) { state.sel = null; useRecord(n); }
  const time = m.time - LOW, j = m.key ? rec().byKey.get(m.key) : null;
  state.exit = null;
  if (j) {
    const steps = j.cards.map((c, k) => [Math.abs(c.time - time), k]).sort((a, b) => a[0] - b[0]);
    state.sel = { key: m.key, step: steps[0][1] };
    const length = Math.max(j.end - j.start, 200_000);
    if (length > 4e7) setView(time - 6e6, time + 1e7, true);
    else setView(j.start - length * 0.14, j.end + length * 0.2, true);
  } else {
    state.sel = null;
    const x = exitAtTime(time);
    if (x) state.exit = x;
    setView(time - 6e6, time + 8e6, true);
  }
  state.cursor = time;
}

function exitAtTime(time) {
  const r = rec();
  for (let i = firstAt(r.exits, 7, time); i < r.exits.length && r.exits[i] <= time; i += 7) if (r.exits[i] === time) return exitAt(r, i);
  return null;
}

function leaveTour() {
  if (state.tour < 0) return;
  state.tour = -1;
  state.said = "";
}

function tourSection() {
  const card = TOUR[state.tour], next = TOUR[state.tour + 1];
  const bars = TOUR.map((_, n) => `<button type="button" class="dot" data-card="${n}" aria-label="Question ${n + 1}: ${escaped(TOUR[n].question)}"${n === state.tour ? ' aria-current="true"' : ""}${n <= state.tour ? ' data-seen=""' : ""}></button>`).join("");
  const [first, ...rest] = card.says;
  const did = (card.did || []).map(([a, text, value]) => `<tr><td class="mono">${escaped(a)}</td><td>${escaped(text)}</td><td class="n"><b>${escaped(value)}</b></td></tr>`).join("");
  const opposite = card.opposite.map(([a, text]) => `<dt>${escaped(a)}</dt><dd>${escaped(text)}</dd>`).join("");
  return `<section class="tour"><div class="dots">${bars}<span class="quiet">question ${state.tour + 1} of ${TOUR.length}</span></div>`
    + `<h2 class="question">${escaped(card.question)}</h2><p class="answer"><b>${escaped(first)}</b> ${rest.map(escaped).join(" ")}</p>`
    + blockHtml(card.block)
    + (did ? `<h3>What this run did</h3><table class="did"><tbody>${did}</tbody></table>` : "")
    + (card.moment ? "" : '<p class="quiet">What this page holds of the run has no moment that shows it.</p>')
    + `<h3>Where it is otherwise</h3><dl>${opposite}</dl><p class="cite">${card.cites.map(escaped).join("<br>")}</p></section>`
    + `<div class="tourfoot"><button type="button" class="plain" id="tourback"${state.tour ? "" : " disabled"}>Back</button><span class="grow"></span><button type="button" class="link" id="tourleave"><kbd>Esc</kbd>leave</button>`
    + `<button type="button" class="plain strong tournext" id="tournext">${escaped(next ? next.question : "Back to the timeline")}</button></div>`;
}

function blockHtml(block) {
  if (!block) return "";
  if (block.kind === "worlds") return worldsSvg(block);
  if (block.kind === "bars") {
    const rows = block.rows.map(([name, parts]) => ({
      name, sum: Object.values(parts).reduce((a, b) => a + b, 0),
      parts: Object.entries(parts).map(([reason, each]) => ({ says: reason, each, sign: signOfName(reason) })).sort((a, b) => a.sign - b.sign),
    }));
    return `<figure>${barsSvg(rows, 452, 26 + rows.length * 34)}<figcaption class="quiet">${escaped(block.says)}</figcaption></figure>`;
  }
  const numeric = (text) => /^[\d<]/.test(text);
  const head = block.head.map((h, n) => `<th${n && block.rows.every((row) => numeric(row[n])) ? ' class="n"' : ""}>${escaped(h)}</th>`).join("");
  const rows = block.rows.map((row) => `<tr>${row.map((text, n) => `<td${n && block.rows.every((x) => numeric(x[n])) ? ' class="n"' : ""}>${escaped(text)}</td>`).join("")}</tr>`).join("");
  return `<figure><table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table><figcaption class="quiet">${escaped(block.says)}</figcaption></figure>`;
}

function signOfName(name) {
  for (const r of RECORDS) for (const [said, sign] of Object.values(r.reasons)) if (said === name) return sign;
  return 6;
}

// Two columns of 16 priority classes with a wall between: host vectors left, guest vectors right.
function worldsSvg(block) {
  const top = 26, row = 11, y = (v) => top + (15 - (v >> 4)) * row;
  let out = "";
  const column = (x, title) => {
    out += `<text class="curve" x="${x + 13}" y="14" text-anchor="middle">${title}</text>`;
    for (let n = 0; n < 16; n++) out += `<rect class="slot" x="${x}" y="${top + n * row}" width="26" height="${row - 1}"/>`;
  };
  column(116, "Local APIC of the pCPU");
  column(330, "Virtual APIC of the vCPU");
  out += `<rect x="233" y="${top + 8}" width="9" height="${16 * row - 8}" fill="url(#wall)" stroke="var(--ink)" stroke-width=".8"/>`;
  let free = 0;
  const place = (v) => { const at = Math.max(free, y(v) + 9); free = at + 14; return at; };
  for (const [v, says, exits] of block.host.filter((x) => x[0] >= 0).sort((a, b) => b[0] - a[0])) {
    out += `<rect x="116" y="${y(v)}" width="26" height="${row - 1}" fill="var(--${exits ? "reason-0" : "xen-edge"})"/>`
      + (exits ? `<path class="ray" d="M144 ${y(v) + 5}H229" stroke="var(--reason-0)" marker-end="url(#tipr)"/><text class="curve" x="186" y="${y(v) + 1}" text-anchor="middle">exit</text>` : `<text class="axis sans" x="148" y="${y(v) + 9}">no exit</text>`)
      + `<text class="curve" x="108" y="${place(v)}" text-anchor="end">${escaped(says)} <tspan class="mono">${hex(v)}</tspan></text>`;
  }
  free = 0;
  for (const [v, says] of block.guest.filter((x) => x[0] >= 0).sort((a, b) => b[0] - a[0])) {
    out += `<rect x="330" y="${y(v)}" width="26" height="${row - 1}" fill="var(--ink)"/><path class="ray" d="M328 ${y(v) + 5}H247" stroke="var(--ink)" marker-end="url(#tip)"/><text class="curve" x="364" y="${place(v)}"><tspan class="mono">${hex(v)}</tspan> ${escaped(says)}</text>`;
  }
  const foot = top + 16 * row + 15;
  out += `<text class="axis sans" x="129" y="${foot}" text-anchor="middle">host vectors</text><text class="curve" x="237" y="${foot}" text-anchor="middle">nothing compares across</text><text class="axis sans" x="343" y="${foot}" text-anchor="middle">guest vectors</text>`;
  const tip = (id, fill) => `<marker id="${id}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L8 4L0 8z" fill="${fill}"/></marker>`;
  return `<figure><svg class="chart worlds" viewBox="0 0 470 ${foot + 6}" role="img" aria-label="Host vectors and guest vectors are never compared"><defs>${tip("tip", "var(--ink)")}${tip("tipr", "var(--reason-0)")}<pattern id="wall" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="5" height="5" fill="var(--panel)"/><rect width="1.6" height="5" fill="var(--ink)"/></pattern></defs>${out}</svg></figure>`;
}

// The callout over the lanes: the only thing on the page with a shadow.
function drawCallout() {
  const node = document.getElementById("callout"), m = state.tour >= 0 ? TOUR[state.tour].moment : null;
  const shown = m && m.mechanism === rec().name && !state.compare;
  node.hidden = !shown;
  if (!shown) return;
  setHtml(node, `<b>${escaped(m.callout[0])}</b><p>${escaped(m.callout[1])}</p>`);
  const x = xOf(m.time - LOW), width = Math.min(290, view.width - 20);
  if (x < 0 || x > view.width) { node.hidden = true; return; }
  const n = rec().lanes.findIndex((l) => l.kind === "pcpu"), y = n >= 0 ? view.places.lanes[n].y : 40, j = selected();
  const above = j ? j.cards.filter((card) => card.lane >= 0 && card.lane <= n + 1 && xOf(card.time) < view.width).map((card) => xOf(card.time)) : [];
  const right = Math.max(x, ...above) + 26, left = Math.min(x, ...above) - width - 22;
  node.style.width = `${width}px`;
  node.style.left = `${112 + (right + width < view.width || left < 4 ? Math.min(right, view.width - width - 6) : left)}px`;
  node.style.top = `${Math.max(4, y - 70)}px`;
}
