// Live what-if: the control row asks the server for a window under other settings; the old picture stays meanwhile.

let LIVE = DATA.live || null;
const flight = { changes: {}, busy: false, wanted: false, asks: 0, began: 0, took: 0, error: "", shown: true, later: 0 };
const LATER_MS = 250;

const ROWS_OF = [
  ["load", "Load", true], ["frame", "Frame", true], ["moderation", "Moderation", true], ["rate", "Link", [1, 10, 25, 40, 100]],
  ["vcpus", "vCPUs", [1, 2, 3, 4, 6, 8]], ["pcpus", "pCPUs", [1, 2, 3, 4, 6, 8, 12, 16]], ["pin", "Pin", null], ["costs", "Costs", null],
];

function setting(key) { return key in flight.changes ? flight.changes[key] : LIVE.base[key]; }

function drawControls() {
  const node = document.getElementById("facts");
  node.classList.add("controls");
  document.body.classList.add("controlled");
  const out = [];
  for (const [key, name, kind] of ROWS_OF) {
    if (!(key in LIVE.base)) continue;
    const value = setting(key), [low, high, unit] = LIVE.limits[key] || [0, 0, ""];
    if (kind === true) {
      out.push(`<label>${name}<input type="range" data-slide="${key}" min="${low}" max="${high}" value="${value}" aria-label="${name} slider" tabindex="-1"><input type="text" inputmode="numeric" class="mono value" data-key="${key}" value="${escaped(value)}" aria-label="${name}, ${low} to ${high} ${unit}" size="4"><span class="unit">${unit}</span></label>`);
    } else {
      const list = kind || (key === "pin" ? ["none", ...Array(Number(setting("pcpus"))).keys()] : LIVE.costs);
      const all = list.includes(value) ? list : [value, ...list];
      const says = (v) => (key === "pin" ? (v === "none" ? "none" : `pCPU${v}`) : key === "rate" ? `${v} Gbit/s` : v);
      out.push(`<label>${name}<select class="mono" data-key="${key}">${all.map((v) => `<option value="${escaped(v)}"${v === value ? " selected" : ""}>${escaped(says(v))}</option>`).join("")}</select></label>`);
      if (key === "rate") out.push('<span id="packets" class="quiet" title="what load, frame and link make of it"></span>');
    }
  }
  out.push('<span class="grow"></span><span id="redraw" class="quiet" role="status"></span><span class="kind">simulated</span><span class="note error" id="complaint" role="alert" hidden></span>');
  node.innerHTML = out.join("");
  drawRedraw();
}

function scenarioChoice() {
  return `<select data-scenario aria-label="Scenario">${LIVE.scenarios.map((s) => `<option${s === LIVE.scenario ? " selected" : ""}>${escaped(s)}</option>`).join("")}</select>`;
}

function drawRedraw() {
  const node = document.getElementById("redraw");
  if (!node) return;
  setHtml(node, flight.busy && flight.shown ? '<i class="bar"></i>' : flight.took ? `redrawn in ${Math.round(flight.took)} ms` : "");
  const packets = document.getElementById("packets");
  if (packets) setHtml(packets, packetsText());
  const complaint = document.getElementById("complaint");
  complaint.hidden = !flight.error;
  if (complaint.textContent !== flight.error) complaint.textContent = flight.error;
  document.getElementById("before").hidden = !(flight.error && rec().stale) || !!state.compare;
}

function packetsText() {
  const rate = setting("rate"), load = setting("load"), frame = setting("frame");
  return frame ? `= ${group(String(Math.round(rate * 1e6 * load / 100 / ((frame + 20) * 8))))} kpkt/s` : "";
}

// The records that are on the screen now; the others follow when these are drawn.
function resting() { return !flight.busy && !flight.wanted && !flight.asks && (!!flight.error || !RECORDS.some((r) => r.stale && !r.failed)); }
function shownNames() { return state.compare ? state.compare.slice() : [rec().name]; }

function change(key, value) {
  if (String(value) === String(LIVE.base[key])) delete flight.changes[key]; else flight.changes[key] = value;
  for (const r of RECORDS) { r.stale = true; r.failed = ""; }
  tourOld = true;
  flight.began = performance.now();
  flight.wanted = true;
  for (const [selector, k] of [["slide", key], ["key", key]]) {
    const node = document.querySelector(`[data-${selector}="${k}"]`);
    if (node && node !== document.activeElement && String(node.value) !== String(value)) node.value = value;
  }
  drawRedraw();
  send();
}

function wantShown() { if (LIVE && RECORDS.some((r) => r.stale && shownNames().includes(r.name))) { flight.wanted = true; flight.began = performance.now(); send(); } }

function request(names) { return { scenario: LIVE.scenario, changes: { ...flight.changes }, mechanisms: names }; }

// A comparison asks first for what it shows; the whole of a record follows, one at a time, when nothing else is wanted.
function firstPart() {
  const source = comparedSource();
  return state.compare && source >= 0 ? { brief: rec().sources[source] } : {};
}

function followUp() {
  clearTimeout(flight.later);
  flight.later = setTimeout(send, LATER_MS);
}

async function send() {
  if (flight.busy) return;
  const shown = flight.wanted;
  const names = shown ? shownNames() : RECORDS.filter((r) => r.stale && !r.failed).sort((a, b) => (b === rec()) - (a === rec())).slice(0, 1).map((r) => r.name);
  clearTimeout(flight.later);
  if (!names.length || (flight.error && !shown)) return;
  flight.busy = true;
  flight.shown = shown;
  flight.wanted = false;
  drawRedraw();
  const began = flight.began, said = await post("simulate", { ...request(names), ...(shown ? firstPart() : {}) });
  flight.busy = false;
  if (flight.wanted) { send(); return; }
  if (said.error) {
    if (shown) fail(said.error);
    else { for (const r of RECORDS) if (names.includes(r.name)) r.failed = said.error; followUp(); }
    return;
  }
  take(said);
  if (shown) {
    flight.error = "";
    frame();
    await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
    flight.took = performance.now() - began;
    if (state.tour >= 0 && tourOld) fetchTour().then(() => { if (state.tour >= 0) openCard(Math.min(state.tour, TOUR.length - 1), false); });
  } else parts = true;
  drawRedraw();
  ask();
  writeHash();
  followUp();
}

function fail(text) {
  flight.error = text;
  drawRedraw();
}

// New records take the places of the old ones of their names; the selection is the same source and number, and a cursor
// that stood on its step goes with it.
function take(said) {
  const old = rec(), source = state.sel && /^(\d+)\.(.+)$/.exec(state.sel.key), cursor = LOW + state.cursor;
  const name = source ? old.sources[Number(source[1])] : "", step = selectedStep(), followed = step && step.time === state.cursor;
  LIVE = said.live;
  for (const raw of said.records) {
    const n = RECORDS.findIndex((x) => x.name === raw.name), r = unpack(raw.brief ? { ...partsOf(RECORDS[n]), ...raw } : raw);
    if (n >= 0) RECORDS[n] = r; else RECORDS.push(r);
  }
  SPAN = Math.max(1, said.records[0].span);
  LOW = said.records[0].low;
  miniBase = null;
  state.cursor = cursor - LOW;
  state.exit = state.exit && rec() === old ? state.exit : null;
  const at = source ? rec().sources.indexOf(name) : -1;
  if (at >= 0) state.sel.key = `${at}.${source[2]}`;
  const j = selected();
  if (j && !rec().brief) {
    state.sel.step = Math.min(state.sel.step, j.cards.length - 1);
    if (followed) { state.cursor = selectedStep().time; reveal(j.start, j.end); }
  }
  state.lane = Math.min(state.lane, rec().lanes.length - 1);
  parts = true;
  drawLegend();
}

async function fetchTour() {
  state.said = "Answering the questions from this run.";
  ask();
  const said = await post("tour", request(null));
  state.said = said.error || "";
  if (!said.tour) return;
  TOUR = said.tour;
  tourOld = false;
}

async function otherScenario(name) {
  const said = await post("simulate", { scenario: name, changes: {} });
  if (said.error) { fail(said.error); return; }
  location.hash = `s=${encodeURIComponent(name)}`;
  location.reload();
}

function copyAddress() {
  writeHash();
  if (navigator.clipboard) { navigator.clipboard.writeText(location.href).catch(() => {}); return "Address copied."; }
  return "The address bar holds this state.";
}

async function showShare() {
  const dialog = document.getElementById("keys");
  writeHash();
  const said = LIVE ? await post("words", request(shownNames())) : {};
  const texts = { address: location.href.replace(/#.*/, `#${hashText()}`), toml: said.toml, command: said.command };
  const row = (key, label) => (texts[key] ? `<button type="button" class="plain" data-copy="${key}">${label}</button>` : "");
  dialog.innerHTML = `<h2>Share this state</h2><div class="shares">${row("address", "copy address")}${row("toml", "copy as scenario.toml")}${row("command", "copy as command")}</div>`
    + `${said.error ? `<p>${escaped(said.error)}</p>` : ""}<pre class="mono" id="shared" tabindex="0">${escaped(texts.command || texts.address)}</pre><p class="quiet" id="copied" role="status"></p><form method="dialog"><button class="plain">Close</button></form>`;
  dialog.querySelector(".shares").addEventListener("click", (e) => {
    const key = e.target.dataset.copy;
    if (!key) return;
    dialog.querySelector("#shared").textContent = texts[key];
    const told = dialog.querySelector("#copied");
    const by = navigator.clipboard ? navigator.clipboard.writeText(texts[key]) : Promise.reject();
    by.then(() => { told.textContent = "Copied."; }, () => { told.textContent = "Select the text and copy it."; });
  });
  dialog.showModal();
}

function listenLive() {
  const node = document.getElementById("facts");
  if (!LIVE) return;
  document.getElementById("scenario").addEventListener("change", (e) => otherScenario(e.target.value));
  const number = (text) => (/^-?\d+$/.test(text.trim()) ? Number(text) : text.trim());
  node.addEventListener("input", (e) => { if (e.target.dataset.slide) change(e.target.dataset.slide, Number(e.target.value)); });
  node.addEventListener("keydown", (e) => {
    const { key } = e.target.dataset, by = { ArrowUp: 1, ArrowDown: -1 }[e.key];
    if (!by || !key || e.target.tagName !== "INPUT") return;
    const [low, high] = LIVE.limits[key];
    e.preventDefault();
    e.target.value = Math.max(low, Math.min(high, Number(setting(key)) + by * (e.shiftKey ? 10 : 1)));
    change(key, Number(e.target.value));
  });
  node.addEventListener("change", (e) => {
    const { key } = e.target.dataset;
    if (key) {
      change(key, key === "costs" ? e.target.value : number(e.target.value));
      if (key === "pcpus") { const focus = document.activeElement.dataset.key; drawControls(); if (focus) document.querySelector(`[data-key="${focus}"]`).focus(); }
    }
  });
}

// The address may ask for changes: they are made before anything is drawn.
async function bootLive() {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("s") && asked.get("s") !== LIVE.scenario && LIVE.scenarios.includes(asked.get("s"))) LIVE.scenario = asked.get("s");
  for (const [key, value] of asked) if (key.startsWith("x.")) flight.changes[key.slice(2)] = /^\d+$/.test(value) ? Number(value) : value;
  if (!Object.keys(flight.changes).length && LIVE.scenario === DATA.live.scenario && !asked.has("s")) return;
  const names = [asked.get("m"), ...(asked.get("cmp") || "").split(",")].filter((n) => n && LIVE.mechanisms.includes(n));
  const said = await post("simulate", request(asked.has("s") && asked.get("s") !== DATA.records[0].scenario ? null : names.length ? names : [RECORDS[0].name]));
  if (said.error) { flight.error = said.error; return; }
  const all = RECORDS;
  if (said.live.scenario !== DATA.records[0].scenario) RECORDS = [];
  else for (const r of all) r.stale = true;
  const kept = state.rec;
  if (!RECORDS.length) { RECORDS = said.records.map(unpack); SPAN = Math.max(1, RECORDS[0].span); LOW = RECORDS[0].low; LIVE = said.live; miniBase = null; } else take(said);
  state.rec = kept < RECORDS.length ? kept : 0;
  followUp();
}

function hashOfLive() {
  if (!LIVE) return [];
  const out = Object.entries(flight.changes).map(([key, value]) => `x.${key}=${encodeURIComponent(value)}`);
  return LIVE.scenario === DATA.records[0].scenario ? out : [`s=${encodeURIComponent(LIVE.scenario)}`, ...out];
}
