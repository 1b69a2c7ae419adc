// A long record's interrupts: the page holds some from the beginning and asks its server for those of the window.

let reading = null;

// How many interrupts a window of this length is likely to hold.
function likely(span) { return rec().more * span / SPAN; }

function isHeld(r, from, to) { return (r.held || []).some(([a, b]) => a <= from && to <= b); }

// Reads the interrupts of a window into the record that is shown. Returns: whether there are any that were not here.
async function readWays(from, to) {
  const r = rec();
  if (!DATA.served || !r.more || reading || isHeld(r, from, to)) return false;
  reading = post("ways", { record: state.rec, from: Math.floor(LOW + from), to: Math.ceil(LOW + to) });
  const said = await reading;
  reading = null;
  if (said.error) { state.said = said.error; ask(); return false; }
  const before = r.byKey.size;
  for (const raw of said.journeys) {
    const j = journeyOf(said, raw, r.journeys.length);
    if (!r.byKey.has(keyOf(j))) { r.journeys.push(j); r.byKey.set(keyOf(j), j); }
  }
  r.byStart = r.journeys.slice().sort((a, b) => a.start - b.start);
  r.held = [...(r.held || []), [from, said.until - LOW]];
  r.numbers = null;
  parts = true;
  ask();
  return r.byKey.size > before;
}

// What the window shows is read once the view rests and few enough interrupts are in it to be drawn.
let restTimer = 0;
function readAhead() {
  const span = state.t1 - state.t0;
  if (!DATA.served || !rec().more || likely(span) > 400) return;
  clearTimeout(restTimer);
  restTimer = setTimeout(() => { if (!isHeld(rec(), state.t0, state.t1)) readWays(state.t0 - span / 2, state.t1 + span / 2); }, 120);
}

// A step to an interrupt that the page does not hold yet.
async function readOn(direction, then) {
  const r = rec(), far = SPAN * 500 / r.more, j = selected(), at = j ? j.start : state.cursor;
  if (await readWays(direction > 0 ? at - 1 : Math.max(0, at - far), direction > 0 ? Math.min(SPAN, at + far) : at + 1)) { state.said = then() || ""; changed(); }
}
