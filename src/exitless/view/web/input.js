// Keys, pointer and wheel.

let pointer = { x: -1, y: -1, inside: false };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches && event.target.matches("input, select");
  const dialog = document.getElementById("keys");
  if (event.key === "Escape") {
    if (dialog.open) return;
    if (typing) { event.target.blur(); document.getElementById("lanes").focus(); }
    else escape();
    return;
  }
  if (typing || dialog.open) return;
  const action = keyAction(event);
  if (!action) return;
  event.preventDefault();
  state.said = action() || "";
  changed();
}

function keyAction(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const x = pointer.inside ? pointer.x : xOf(state.cursor);
  const at = x >= 0 && x <= view.width ? timeOf(x) : (state.t0 + state.t1) / 2;
  const span = state.t1 - state.t0;
  const onPanel = event.target.closest && event.target.closest("#panel, .cards");
  if ((key === "ArrowUp" || key === "ArrowDown") && onPanel && event.target.closest("#panel")) return null;
  const table = {
    w: () => zoom(1 / 1.25, at), s: () => zoom(1.25, at),
    a: () => pan(-0.1 * span), d: () => pan(0.1 * span),
    ArrowLeft: () => walk(-1), ArrowRight: () => walk(1), ArrowUp: () => chooseLane(-1), ArrowDown: () => chooseLane(1),
    ",": () => stepBy(-1), ".": () => stepBy(1), "[": () => nextExit(-1), "]": () => nextExit(1),
    n: () => nextInterrupt(event.shiftKey ? -1 : 1), f: () => fit(), m: () => measure(), y: () => copyAddress(),
    "(": () => toBit(-1), ")": () => toBit(1), "/": () => { const s = document.getElementById("search"); s.focus(); s.select(); },
    "?": () => showKeys(), c: () => toggleCompare(), t: () => { startTour(); return state.said; },
  };
  if (/^[1-9]$/.test(key)) return Number(key) <= RECORDS.length ? () => pickTab(Number(key) - 1) : null;
  if (state.compare && !"wsadfncty/?".includes(key)) return null;
  return table[key] || null;
}

// A tab shows its mechanism; in a comparison it adds it or takes it out.
function pickTab(n) {
  if (state.compare) return toggleCompared(n);
  const said = useRecord(n);
  wantShown();
  return said;
}

function escape() {
  if (state.measure) state.measure = null;
  else if (state.compare) { state.compare = null; wantShown(); }
  else if (state.tour >= 0) leaveTour();
  else if (state.exit) state.exit = null;
  else if (state.sel) state.sel = null;
  else state.lane = -1;
  state.said = "";
  changed();
}

function walk(direction) {
  const list = moments(rec(), rec().lanes[state.lane]);
  const n = lowerBound(list, state.cursor);
  const at = direction > 0 ? (list[n] === state.cursor ? n + 1 : n) : n - 1;
  if (at < 0 || at >= list.length) return "No further event in this window.";
  state.cursor = list[at];
  state.exit = null;
  follow();
  reveal(state.cursor);
  return eventText();
}

// What stands at the cursor, in a line: everything that hover shows, the keys show too.
function eventText() {
  const r = rec();
  const j = selected();
  const card = j && j.cards.find((c) => c.time === state.cursor);
  if (card) return `${card.title}: ${card.detail}`;
  const lanes = state.lane >= 0 ? [state.lane] : r.lanes.map((_, n) => n);
  for (const n of lanes) {
    const p = view.places.lanes[n];
    const [flat, stride] = flatOf(r, r.lanes[n]);
    const i = nearest(flat, stride, state.cursor, 0.5, (k) => r.lanes[n].kind !== "device" || r.lanes[n].members.includes(flat[k + 1]));
    const hit = i >= 0 || state.lane >= 0 ? hitAt(xOf(state.cursor), p.y + p.h / 2) : null;
    if (hit) return hit.text;
  }
  return "";
}

function chooseLane(direction) {
  const count = rec().lanes.length;
  state.lane = state.lane < 0 ? (direction > 0 ? 0 : count - 1) : (state.lane + direction + count) % count;
  const place = view.places.lanes[state.lane], box = document.getElementById("lanes");
  if (place.y < box.scrollTop + HEAD) box.scrollTop = place.y - HEAD;
  if (place.y + place.h > box.scrollTop + box.clientHeight) box.scrollTop = place.y + place.h - box.clientHeight;
  const lane = rec().lanes[state.lane];
  return `${lane.label} ${lane.detail}`;
}

function stepBy(direction) {
  const j = selected();
  if (!j) return walk(direction);
  const at = Math.max(0, Math.min(j.cards.length - 1, state.sel.step + direction));
  choose({ journey: j, step: at });
  reveal(state.cursor);
  return stepText();
}

// The current step in a line: the status region tells it to who does not see the picture.
function stepText() {
  const j = selected(), card = selectedStep();
  return card ? `${j.headline}, step ${state.sel.step + 1} of ${j.cards.length}: ${card.title}, ${card.detail}` : "";
}

function measure() {
  const at = snapped(pointer.inside ? timeOf(pointer.x) : state.cursor);
  if (!state.measure || state.measure.b !== null) { state.measure = { a: at, b: null }; state.cursor = at; return "Measure: move, then press M again."; }
  state.measure.b = pointer.inside ? at : state.cursor;
  return `Measured ${lasting(Math.abs(state.measure.b - state.measure.a))}.`;
}

function snapped(time) {
  const list = moments(rec(), null), n = lowerBound(list, time), near = (state.t1 - state.t0) / view.width * 6;
  let best = time, gap = near;
  for (const k of [n - 1, n]) if (k >= 0 && k < list.length && Math.abs(list[k] - time) <= gap) { best = list[k]; gap = Math.abs(list[k] - time); }
  return best;
}

function toBit(direction) {
  if (!state.bit) return "Click a bit in a register first.";
  const time = nextBitChange(direction);
  if (time === null) return "That bit does not change any further in this window.";
  state.cursor = time;
  follow();
  reveal(time);
  return "";
}

function listen() {
  document.addEventListener("keydown", onKey);
  const stage = document.getElementById("plot"), lanes = document.getElementById("lanes");
  lanes.addEventListener("wheel", onWheel, { passive: false });
  const start = { x: 0, t0: 0, moved: false, down: false };
  stage.addEventListener("pointerdown", (e) => { Object.assign(start, { x: e.clientX, t0: state.t0, t1: state.t1, moved: false, down: true }); stage.setPointerCapture(e.pointerId); });
  stage.addEventListener("pointermove", (e) => {
    const box = stage.getBoundingClientRect();
    pointer = { x: e.clientX - box.left, y: e.clientY - box.top, inside: true };
    if (start.down && Math.abs(e.clientX - start.x) > 3) start.moved = true;
    if (start.down && start.moved) {
      const moved = (start.x - e.clientX) / view.width * (start.t1 - start.t0);
      setView(start.t0 + moved, start.t1 + moved);
      hideHover();
    } else showHover(e.clientX, e.clientY);
  });
  stage.addEventListener("pointerup", (e) => { start.down = false; if (!start.moved) onClick(e); else writeHash(); });
  stage.addEventListener("pointerleave", () => { pointer.inside = false; hideHover(); });
  stage.addEventListener("dblclick", () => { if (selected()) { fit(true); changed(); } });
  document.getElementById("over").addEventListener("click", (e) => {
    const badge = e.target.closest(".badge");
    if (!badge || !selected()) return;
    const steps = badge.dataset.steps.split(",").map(Number);
    const next = steps[(steps.indexOf(state.sel.step) + 1) % steps.length];
    choose({ journey: selected(), step: next });
    changed();
  });
  listenMini();
  listenParts();
  listenGrids();
  listenLive();
  listenCompare();
}

function listenMini() {
  const mini = document.getElementById("mini");
  let grip = null;
  const time = (e) => (e.clientX - mini.getBoundingClientRect().left) / view.width * SPAN;
  mini.addEventListener("pointerdown", (e) => {
    const t = time(e), near = SPAN / view.width * 5;
    const edge = Math.abs(t - state.t0) < near ? "left" : Math.abs(t - state.t1) < near ? "right" : "body";
    if (edge === "body" && (t < state.t0 || t > state.t1)) { const half = (state.t1 - state.t0) / 2; setView(t - half, t + half); }
    grip = { edge, from: t, t0: state.t0, t1: state.t1 };
    mini.setPointerCapture(e.pointerId);
  });
  mini.addEventListener("pointermove", (e) => {
    if (!grip) return;
    const moved = time(e) - grip.from;
    if (grip.edge === "left") setView(Math.min(grip.t0 + moved, grip.t1 - 5000), grip.t1);
    else if (grip.edge === "right") setView(grip.t0, Math.max(grip.t1 + moved, grip.t0 + 5000));
    else setView(grip.t0 + moved, grip.t1 + moved);
  });
  mini.addEventListener("pointerup", () => { grip = null; writeHash(); });
  const ruler = document.getElementById("ruler");
  ruler.addEventListener("pointerdown", (e) => {
    state.cursor = snapped(timeOf(e.clientX - ruler.getBoundingClientRect().left));
    follow();
    changed();
  });
}

function listenParts() {
  document.getElementById("journey").addEventListener("click", (e) => {
    const card = e.target.closest("[data-step]");
    if (!card || !selected()) return;
    choose({ journey: selected(), step: Number(card.dataset.step) });
    reveal(state.cursor);
    changed();
    const again = document.querySelector(`.cards [data-step="${card.dataset.step}"]`);
    if (again) again.focus({ preventScroll: true });
  });
  document.getElementById("panel").addEventListener("click", (e) => {
    const dot = e.target.closest("[data-card]");
    if (dot) openCard(Number(dot.dataset.card));
    if (e.target.closest("#tourback")) openCard(Math.max(0, state.tour - 1));
    if (e.target.closest("#tourleave")) { leaveTour(); changed(); }
    if (e.target.closest("#tournext")) { if (state.tour + 1 < TOUR.length) openCard(state.tour + 1); else { leaveTour(); changed(); } }
    const line = e.target.closest("tr.go");
    if (line) { useRecord(Number(line.querySelector("[data-rec]").dataset.rec)); changed(); }
  });
  document.getElementById("tabs").addEventListener("click", (e) => {
    const tab = e.target.closest("button");
    if (tab) { state.said = pickTab(Number(tab.dataset.rec)); changed(); }
  });
  for (const [id, act] of [["tour", () => { startTour(); return state.said; }], ["comparison", toggleCompare], ["share", () => { showShare(); }]]) {
    document.getElementById(id).addEventListener("click", () => { state.said = act() || ""; changed(); });
  }
  document.getElementById("labels").addEventListener("click", (e) => {
    const label = e.target.closest("[data-lane]");
    if (label) { state.lane = state.lane === Number(label.dataset.lane) ? -1 : Number(label.dataset.lane); changed(); }
  });
  const search = document.getElementById("search");
  search.addEventListener("keydown", (e) => {
    if (e.key !== "Enter") return;
    state.said = searchFor(search.value, e.shiftKey ? -1 : 1);
    changed();
  });
  document.getElementById("theme").addEventListener("click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark", true);
  });
  document.getElementById("help").addEventListener("click", showKeys);
}

function onWheel(e) {
  if (!e.ctrlKey && !e.shiftKey && Math.abs(e.deltaX) <= Math.abs(e.deltaY)) return;
  e.preventDefault();
  const box = (state.compare ? document.getElementById("compareruler") : document.getElementById("plot")).getBoundingClientRect();
  const span = state.t1 - state.t0;
  if (e.ctrlKey) zoom(Math.pow(1.25, Math.sign(e.deltaY)), timeOf(e.clientX - box.left));
  else setView(state.t0 + (e.deltaX || e.deltaY) / view.width * span, state.t1 + (e.deltaX || e.deltaY) / view.width * span);
}

function onClick(e) {
  const box = document.getElementById("plot").getBoundingClientRect();
  const x = e.clientX - box.left, y = e.clientY - box.top;
  const hit = hitAt(x, y);
  document.getElementById("lanes").focus({ preventScroll: true });
  if (hit && hit.journey) choose(hit);
  else if (hit && hit.exit) choose({ exit: hit.exit });
  else {
    state.cursor = snapped(timeOf(x));
    state.exit = null;
    follow();
    const time = timeOf(x), reach = SPAN * 100 / (rec().more || 1);
    readWays(time - reach, time + reach).then((more) => { const again = more && hitAt(xOf(time), y); if (again && again.journey) { choose(again); changed(); } });
  }
  state.said = hit ? hit.text : "";
  changed();
}

function showHover(x, y) {
  const hit = hitAt(pointer.x, pointer.y);
  document.getElementById("plot").style.cursor = hit && (hit.journey || hit.exit) ? "pointer" : "default";
  if (hit) hoverText(hit.text, x, y); else hideHover();
}

// One line next to the pointer, inside the window.
function hoverText(text, x, y) {
  const node = document.getElementById("hover");
  node.textContent = text;
  node.style.display = "block";
  node.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - node.offsetWidth - 8))}px`;
  node.style.top = `${y + 18 + node.offsetHeight > innerHeight ? y - 12 - node.offsetHeight : y + 18}px`;
}
function hideHover() { document.getElementById("hover").style.display = "none"; }
