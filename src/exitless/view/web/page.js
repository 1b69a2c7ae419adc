// State, address, and what is drawn again after a change.

const NARROW = matchMedia("(max-width: 900px)"), CALM = matchMedia("(prefers-reduced-motion: reduce)");
let pending = 0, parts = true, goal = null, toldTimer = 0;

function changed() { parts = true; ask(); writeHash(); }
function ask() { if (!pending) pending = requestAnimationFrame(frame); }

function frame() {
  pending = 0;
  const began = performance.now();
  if (goal) {
    const share = Math.min(1, (began - goal.began) / goal.lasts);
    const eased = goal.lasts ? 1 - Math.pow(1 - share, 3) : 1;
    state.t0 = goal.from[0] + (goal.to[0] - goal.from[0]) * eased;
    state.t1 = goal.from[1] + (goal.to[1] - goal.from[1]) * eased;
    if (share >= 1) { goal = null; parts = true; writeHash(); } else ask();
  }
  drawPicture();
  const scale = scaleOf().name + scaleOf().offset;
  if (parts || scale !== view.scale) {
    view.scale = scale;
    parts = false;
    drawTabs();
    if (state.compare) drawDistributions();
    else { drawLabels(); drawJourney(); drawPanel(); }
  }
  drawCallout();
  readAhead();
  view.frame = performance.now() - began;
  drawStatus();
}

function drawPicture() {
  document.body.classList.toggle("comparing", !!state.compare);
  document.body.classList.toggle("touring", state.tour >= 0);
  document.getElementById("compare").hidden = !state.compare;
  if (state.compare) { drawCompare(); return; }
  const left = document.querySelector(".left"), lanes = document.getElementById("lanes");
  view.width = Math.max(60, lanes.clientWidth - 112);
  view.places = layout(rec(), NARROW.matches ? 1e9 : lanes.clientHeight - 6);
  const height = view.places.height;
  if (view.shape !== `${view.width} ${height}`) {
    view.shape = `${view.width} ${height}`;
    document.getElementById("stage").style.height = `${height}px`;
    left.style.setProperty("--plot", `${view.width}px`);
  }
  drawRuler(prepare(document.getElementById("ruler"), view.width, 26), view.width, 26);
  drawMini(prepare(document.getElementById("mini"), view.width, 44), view.width, 44);
  drawLanes(prepare(document.getElementById("plot"), view.width, height));
  drawOver();
}

function drawTabs() {
  document.querySelectorAll("#tabs button").forEach((b, n) => {
    b.setAttribute("aria-selected", state.compare ? state.compare.includes(RECORDS[n].name) : n === state.rec);
    const box = b.parentNode;
    if (n === state.rec && (b.offsetLeft - box.offsetLeft < box.scrollLeft || b.offsetLeft - box.offsetLeft + b.offsetWidth > box.scrollLeft + box.clientWidth)) {
      box.scrollLeft = b.offsetLeft - box.offsetLeft - 20;
    }
  });
  document.getElementById("tour").setAttribute("aria-pressed", state.tour >= 0);
  document.getElementById("comparison").setAttribute("aria-pressed", !!state.compare);
}

function tabsHtml() {
  return RECORDS.map((r, n) => `<button type="button" role="tab" data-rec="${n}" title="${n < 9 ? `key ${n + 1}` : ""}">${escaped(r.name)}</button>`).join("");
}

// A lane's name in full; Xen's names of vCPUs are taken apart.
function titleOf(lane) {
  const xen = /^d(\d+)v(\d+)$/.exec(lane.label);
  return `${lane.label} ${lane.detail}${xen ? `: vCPU ${xen[2]} of domain ${xen[1]}` : ""}`;
}

function drawLabels() {
  const r = rec(), j = selected();
  const own = new Set(j ? j.cards.map((card) => card.lane) : []);
  const heads = view.places.heads.map((h) => `<div class="group" style="top:${h.y}px;height:${HEAD}px">${h.text}</div>`);
  const lanes = r.lanes.map((lane, n) => {
    const place = view.places.lanes[n], bar = barOf(place, lane.kind);
    const top = lane.kind === "pcpu" ? bar.y : place.y, h = lane.kind === "pcpu" ? bar.h : place.h - 1;
    const kind = [own.has(n) ? "strong" : "", ["vector", "port"].includes(lane.kind) ? "child" : "", state.lane === n ? "chosen" : ""].join(" ");
    return `<div data-lane="${n}" class="${kind}" title="${escaped(titleOf(lane))}" style="top:${top}px;height:${h}px;line-height:${h}px">${escaped(lane.label)}<small>${escaped(lane.detail)}</small></div>`;
  });
  document.getElementById("labels").innerHTML = heads.join("") + lanes.join("");
}

// A text that changes in every frame is laid out in every frame: the numbers are told five times a second.
function drawStatus() {
  const node = document.getElementById("say"), r = rec();
  const j = selected();
  if (node.textContent !== state.said) node.textContent = state.said;
  const next = document.getElementById("next"), word = j && j.source >= 0 ? `next ${r.sources[j.source]}` : "next interrupt";
  if (next.textContent !== word) next.textContent = word;
  const numbers = document.getElementById("numbers"), now = performance.now();
  if (now < view.told + 200) { clearTimeout(toldTimer); toldTimer = setTimeout(drawStatus, 210); return; }
  view.told = now;
  numbers.textContent = `${group(String(view.marks))} marks, frame ${Math.max(1, Math.round(view.frame))} ms`;
}

function drawFacts() {
  const r = rec();
  setHtml(document.getElementById("scenario"), `${LIVE && LIVE.scenarios.length > 1 ? scenarioChoice() : `<b>${escaped(r.scenario || "record")}</b>`}<span>${escaped(r.title)}</span>`);
  document.getElementById("scenario").title = r.title;
  if (LIVE) { if (!document.getElementById("redraw")) drawControls(); drawRedraw(); return; }
  const fact = (name, value) => `<span>${name}<span class="mono">${escaped(value)}</span></span>`;
  const out = [];
  if (r.length) out.push(fact("run", lasting(r.length).replace(".000", "")));
  if (r.seed) out.push(fact("seed", r.seed));
  out.push(fact("held here", `${lasting(SPAN)} from ${group((LOW / 1e9).toFixed(3))}${NB}ms`));
  out.push(fact("rows", `${group(String(r.rows))} of ${group(String(r.total))}`));
  if (r.more && !DATA.served) out.push(fact("interrupts", `${group(String(r.journeys.length))} of ${group(String(r.more))}`));
  if (r.clock) out.push(fact("clock", `${(r.clock / 1e9).toFixed(1)}${NB}GHz`));
  const guess = r.costs.length && r.costs.every(([, o]) => originKind(o).startsWith("illustrative"));
  if (guess) out.push(fact("costs", "illustrative"));
  out.push(`<span class="grow"></span><span class="kind">${escaped(r.origin === "simulated" ? "simulated" : r.origin)}</span>`);
  for (const text of r.missing) out.push(`<span class="note">${escaped(text)}</span>`);
  document.getElementById("facts").innerHTML = out.join("");
}

// Moves of the view. The time under the pointer stays put; limits are 5 ns and what the page holds.
function setView(t0, t1, eased = false) {
  let span = Math.max(5000, Math.min(SPAN * 1.02, t1 - t0));
  let from = t0 + (t1 - t0 - span) / 2;
  from = Math.max(-0.01 * SPAN, Math.min(SPAN * 1.01 - span, from));
  if (eased && !CALM.matches) goal = { from: [state.t0, state.t1], to: [from, from + span], began: performance.now(), lasts: 120 };
  else { goal = null; state.t0 = from; state.t1 = from + span; }
  ask();
}

function zoom(factor, at) {
  const [t0, t1] = goal ? goal.to : [state.t0, state.t1];
  const span = Math.max(5000, Math.min(SPAN * 1.02, (t1 - t0) * factor));
  const share = (at - state.t0) / (state.t1 - state.t0);
  setView(at - share * span, at + (1 - share) * span, true);
}

function pan(by) {
  const [t0, t1] = goal ? goal.to : [state.t0, state.t1];
  setView(t0 + by, t1 + by, true);
}

function reveal(time, until = time) {
  const [t0, t1] = goal ? goal.to : [state.t0, state.t1];
  const span = t1 - t0;
  if (time >= t0 + span * 0.03 && until <= t1 - span * 0.03) return;
  const middle = until - time < span * 0.8 ? (time + until) / 2 : time + span * 0.4;
  setView(middle - span / 2, middle + span / 2, Math.abs(middle - (t0 + t1) / 2) < span * 3);
}

function fit(always = false) {
  const j = selected();
  const [t0, t1] = goal ? goal.to : [state.t0, state.t1];
  const whole = () => setView(-0.005 * SPAN, 1.005 * SPAN, true);
  if (!j) { if (state.exit) { const w = (state.exit.end - state.exit.start) * 2; setView(state.exit.start - w, state.exit.end + w, true); } else whole(); return; }
  const length = Math.max(j.end - j.start, 200_000);
  const want = [j.start - length * 0.14, j.end + length * 0.2];
  const there = Math.abs(t0 - want[0]) < length * 0.02 && Math.abs(t1 - want[1]) < length * 0.02;
  if (there && !always) whole(); else setView(...want, true);
}

// Selection.
function choose(hit) {
  if (hit.journey) {
    const step = hit.step || 0;
    state.sel = { key: keyOf(hit.journey), step };
    state.exit = null;
    state.cursor = hit.journey.cards[step].time;
  } else if (hit.exit) {
    state.exit = hit.exit;
    state.cursor = hit.exit.start;
  }
}

// A cursor that stands on a step of the selection makes it the current one.
function follow() {
  const j = selected();
  const n = j ? j.cards.findIndex((card) => card.time === state.cursor) : -1;
  if (n >= 0) state.sel.step = n;
}

// Another mechanism at the same time: the selection is the same source and number, its nearest step by name.
function useRecord(n) {
  if (n === state.rec) return "";
  const before = selectedStep();
  state.rec = n;
  state.exit = null;
  state.lane = -1;
  const j = selected();
  drawFacts();
  drawLegend();
  if (!j) return state.sel ? `${rec().name} has no interrupt ${labelOf(state.sel.key)} in this window.` : "";
  const same = before ? j.cards.findIndex((card) => card.title === before.title) : 0;
  choose({ journey: j, step: same >= 0 ? same : 0 });
  reveal(j.start, j.end);
  return `${rec().name}: ${j.headline}`;
}

// The address holds mechanism, window, cursor, selection and theme.
let hashTimer = 0;
function writeHash() {
  clearTimeout(hashTimer);
  hashTimer = setTimeout(() => { try { history.replaceState(null, "", `#${hashText()}`); } catch { /* a page inside another has no address */ } }, 150);
}
function hashText() {
  const [t0, t1] = goal ? goal.to : [state.t0, state.t1];
  const parts = [`m=${encodeURIComponent(rec().name)}`, `from=${Math.round(LOW + t0)}`, `for=${Math.round(t1 - t0)}`, `at=${Math.round(LOW + state.cursor)}`];
  if (state.sel) parts.push(`pick=${state.sel.key}.${state.sel.step + 1}`);
  if (state.compare) parts.push(`cmp=${state.compare.map(encodeURIComponent).join()}`);
  if (state.tour >= 0) parts.push(`tour=${state.tour + 1}`);
  parts.push(...hashOfLive());
  if (chosenTheme) parts.push(`theme=${chosenTheme}`);
  return parts.join("&");
}
function readHash() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const n = RECORDS.findIndex((r) => r.name === asked.get("m"));
  if (n >= 0) state.rec = n;
  const pick = /^(.+\.\d+)\.(\d+)$/.exec(asked.get("pick") || "");
  if (pick) state.sel = { key: pick[1], step: Math.max(0, Number(pick[2]) - 1) };
  else if (!asked.has("from") && rec().chosen >= 0) {
    const j = rec().journeys[rec().chosen];
    state.sel = { key: keyOf(j), step: Math.max(0, j.handled) };
  }
  const j = selected();
  if (j) {
    state.sel.step = Math.min(state.sel.step, j.cards.length - 1);
    state.cursor = j.cards[state.sel.step].time;
  }
  if (asked.has("at")) state.cursor = Number(asked.get("at")) - LOW;
  else if (!j && asked.has("from")) state.cursor = snapped(Number(asked.get("from")) - LOW + Number(asked.get("for") || 0) / 2);
  if (asked.has("from") && asked.has("for")) setView(Number(asked.get("from")) - LOW, Number(asked.get("from")) - LOW + Number(asked.get("for")));
  else { state.t0 = -1; state.t1 = 0; fit(true); if (goal) { [state.t0, state.t1] = goal.to; goal = null; } }
  chosenTheme = asked.get("theme") || "";
  const rows = (asked.get("cmp") || "").split(",").filter((name) => RECORDS.some((r) => r.name === name));
  state.compare = rows.length > 1 ? rows : null;
}

let chosenTheme = "";
function setTheme(name, keep) {
  document.documentElement.dataset.theme = name;
  if (keep) chosenTheme = name;
  document.getElementById("theme").textContent = name === "dark" ? "Light" : "Dark";
  readColours();
  changed();
}

// The first line that somebody reads who opens the page without an address of a state.
function welcome() {
  const j = selected(), out = [];
  if (j) out.push(`1 to ${j.cards.length}: the steps of one interrupt.`);
  if (hasTour()) out.push("T: the mail's questions.");
  if (RECORDS.length > 1) out.push("C: mechanisms compared.");
  return out.join(" ");
}

async function start() {
  readColours();
  if (LIVE) await bootLive();
  document.getElementById("tabs").innerHTML = tabsHtml();
  document.getElementById("tour").hidden = !hasTour();
  document.getElementById("comparison").hidden = RECORDS.length < 2;
  const keys = [["W", "S", "zoom"], ["A", "D", "pan"], [",", ".", "step"], ["[", "]", "exits"]];
  document.getElementById("status").innerHTML = keys.map(([a, b, d]) => `<span class="keyhint"><kbd>${a}</kbd><kbd>${b}</kbd>${d}</span>`).join("")
    + '<span class="keyhint"><kbd>N</kbd><span id="next"></span></span><span class="keyhint"><kbd>M</kbd>measure</span><button type="button" class="link" id="help"><kbd>?</kbd>all keys</button><span id="say" role="status"></span><span class="grow"></span><span id="numbers" class="mono"></span>';
  const fresh = !location.hash;
  readHash();
  if (fresh) state.said = welcome();
  drawFacts();
  drawLegend();
  setTheme(document.documentElement.dataset.theme, false);
  listen();
  addEventListener("resize", () => { parts = true; ask(); });
  addEventListener("hashchange", () => { if (location.hash.slice(1) !== hashText()) { readHash(); changed(); } });
  new ResizeObserver(() => { parts = true; ask(); }).observe(document.getElementById("lanes"));
  if (document.fonts) document.fonts.ready.then(() => { widths.clear(); ask(); });
  const card = Number(new URLSearchParams(location.hash.slice(1)).get("tour"));
  if (card > 0 && hasTour()) await startTour(card - 1);
  document.documentElement.dataset.ready = "yes";
}
start();
