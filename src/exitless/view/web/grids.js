// Sets of 256 bits as grids of priority classes: what a bit is, what it has just become, and what it means in words.

const MEANING = [
  ["PIR", "posted, not yet moved into the virtual APIC", "SDM 29.6, Posted-Interrupt Descriptor"],
  ["VIRR", "requested, not yet delivered", "SDM 29.1.1, Virtual APIC State"],
  ["VISR", "in service: its handler has not written EOI", "SDM 29.1.1, Virtual APIC State"],
];
const PLAIN = { VIRR: "IRR", VISR: "ISR" };

function nameOfSet(found, field) { return found.virtual ? MEANING[field][0] : PLAIN[MEANING[field][0]] || MEANING[field][0]; }

function bitOf(found, value, vector) {
  if (value === null) return -1;
  const [set, unknown] = found.values[value];
  if (set.includes(vector)) return 1;
  for (let i = 0; i < unknown.length; i += 2) if (vector >= unknown[i] && vector <= unknown[i + 1]) return -1;
  return 0;
}

function bitList(found, value) {
  if (value === null) return "unknown";
  const [set, unknown] = found.values[value];
  const names = set.slice().reverse().map((v) => hex(v)).join(" ");
  if (unknown.length === 2 && unknown[0] === unknown[1]) return `${names ? `${names}, ` : ""}${hex(unknown[0])} ?`;
  if (unknown.length) return names ? `${names}, rest ?` : "unknown";
  return names || "empty";
}

// A bit in one line: name, value, whose vector it is, what that means, and where it is written.
function bitText(field, vector) {
  const r = rec(), vcpu = shownVcpu(), found = r.registers[vcpu];
  if (!found) return "";
  const is = bitOf(found, registersAt(found, state.cursor).after[field], vector);
  const lane = r.lanes.find((l) => l.kind === "vector" && l.number === vcpu && l.vector === vector);
  const whose = lane && lane.detail ? ` ${lane.detail},` : "";
  const says = is < 0 ? "not told by this record" : is ? MEANING[field][1] : `not ${MEANING[field][1].split(",")[0].split(":")[0]}`;
  return `${nameOfSet(found, field)}[${hex(vector)}] = ${is < 0 ? "?" : is},${whose} class ${(vector >> 4).toString(16).toUpperCase()}: ${says} · ${MEANING[field][2]}`;
}

function keySign(kind) {
  return `<svg viewBox="0 0 12 12" aria-hidden="true">${cellSvg(kind, 2, 2, 8)}</svg>`;
}

function cellSvg(kind, x, y, size) {
  const ring = `<rect x="${x - 1.2}" y="${y - 1.2}" width="${size + 2.4}" height="${size + 2.4}" rx="1.5" fill="var(--changed)" stroke="var(--changed-edge)" stroke-width="1.3"/>`;
  if (kind === "set") return `${ring}<rect x="${x + 1.3}" y="${y + 1.3}" width="${size - 2.6}" height="${size - 2.6}" fill="var(--ink)"/>`;
  return `${ring}<path d="M${x + 1.6} ${y + 1.6}l${size - 3.2} ${size - 3.2}m0 ${-(size - 3.2)}l${-(size - 3.2)} ${size - 3.2}" stroke="var(--ink)" stroke-width="1.5"/>`;
}

// `line` is the lowest class that may be delivered, drawn under its row; -1 for none.
function gridSvg(found, field, before, after, rows, line) {
  const pitch = 8, left = rows ? 12 : 2;
  let out = "", top = "";
  for (let v = 0; v < 256; v++) {
    const x = left + (v & 15) * pitch, y = 2 + (15 - (v >> 4)) * pitch;
    const is = bitOf(found, after, v), was = bitOf(found, before, v);
    if (is < 0) out += `<circle cx="${x + 3.5}" cy="${y + 3.5}" r="1" class="unknown"/>`;
    else out += `<rect x="${x}" y="${y}" width="7" height="7" class="${is ? "on" : v < 32 ? "low" : "off"}"/>`;
    if (is === 1 && was === 0) top += cellSvg("set", x, y, 7);
    if (is === 0 && was === 1) top += cellSvg("cleared", x, y, 7);
    if (state.bit && state.bit.field === field && state.bit.vector === v) top += `<rect x="${x - 1.5}" y="${y - 1.5}" width="10" height="10" class="picked"/>`;
  }
  if (rows) for (const [n, y] of [["F", 8], ["8", 64], ["0", 128]]) top += `<text x="7" y="${y}" text-anchor="end">${n}</text>`;
  if (line >= 0) top += `<path class="vppr" d="M${left - 1} ${2 + (16 - line) * pitch - 0.5}H${left + 16 * pitch}"/>`;
  return `<svg class="grid" tabindex="0" data-field="${field}" data-left="${left}" viewBox="0 0 ${left + 16 * pitch + 1} 132" width="${left + 16 * pitch + 1}" height="132" role="application" aria-label="${nameOfSet(found, field)}: ${bitList(found, after)}. Arrow keys choose a bit">${out}${top}</svg>`;
}

// The bit under the pointer, null between cells and outside.
function bitUnder(grid, clientX, clientY) {
  const box = grid.getBoundingClientRect(), left = Number(grid.dataset.left);
  const scale = grid.viewBox.baseVal.width / box.width;
  const column = Math.floor(((clientX - box.left) * scale - left) / 8), row = Math.floor(((clientY - box.top) * scale - 2) / 8);
  if (column < 0 || column > 15 || row < 0 || row > 15) return null;
  return { field: Number(grid.dataset.field), vector: (15 - row) * 16 + column };
}

function pickBit(bit) {
  if (!bit) return;
  state.bit = bit;
  state.said = `${bitText(bit.field, bit.vector)}. ( and ) go to its changes.`;
  changed();
}

function nextBitChange(direction) {
  const found = rec().registers[shownVcpu()];
  if (!found || !state.bit) return null;
  const { field, vector } = state.bit;
  let last = null, best = null;
  for (let i = 0; i < found.changes.length; i += 3) {
    if (found.changes[i + 1] !== field) continue;
    const bit = bitOf(found, found.changes[i + 2], vector);
    if (last !== null && bit !== last) {
      const t = found.changes[i];
      if (direction > 0 && t > state.cursor) return t;
      if (direction < 0 && t < state.cursor) best = t;
    }
    last = bit;
  }
  return best;
}

function listenGrids() {
  const panel = document.getElementById("panel");
  panel.addEventListener("click", (e) => { const grid = e.target.closest(".grid"); if (grid) pickBit(bitUnder(grid, e.clientX, e.clientY)); });
  panel.addEventListener("pointermove", (e) => {
    const grid = e.target.closest(".grid"), bit = grid && bitUnder(grid, e.clientX, e.clientY), said = e.target.closest("[data-says]");
    if (bit) hoverText(bitText(bit.field, bit.vector), e.clientX, e.clientY);
    else if (said) hoverText(said.dataset.says, e.clientX, e.clientY);
    else hideHover();
  });
  panel.addEventListener("pointerleave", hideHover);
  panel.addEventListener("keydown", (e) => {
    const grid = e.target.closest(".grid"), by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 16, ArrowDown: -16 }[e.key];
    if (!grid || !by) return;
    e.preventDefault();
    e.stopPropagation();
    const field = Number(grid.dataset.field), from = state.bit && state.bit.field === field ? state.bit.vector : firstBit(field) - by;
    pickBit({ field, vector: Math.max(0, Math.min(255, from + by)) });
  });
}

// Where the arrow keys begin in a grid: at its highest bit that is set.
function firstBit(field) {
  const found = rec().registers[shownVcpu()], value = registersAt(found, state.cursor).after[field];
  return value === null || !found.values[value][0].length ? 0x80 : found.values[value][0].at(-1);
}
