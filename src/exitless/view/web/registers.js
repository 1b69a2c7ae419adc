// Registers at the cursor, as far as the record's rows prove them. Unknown is shown as unknown.

const FIELDS = ["PIR", "VIRR", "VISR", "RVI", "SVI", "ON"];

// The vCPU whose registers are shown: the selection's, else that of the lane, else the first that has any.
function shownVcpu() {
  const r = rec(), j = selected();
  if (j && j.vcpu >= 0) return j.vcpu;
  const lane = r.lanes[state.lane];
  if (lane && ["vcpu", "vector", "port", "pid"].includes(lane.kind)) return lane.number;
  const known = Object.keys(r.registers).map(Number);
  return known.length ? known[0] : -1;
}

// Replays changes: the state after every row at or before a moment, and the state before the rows of that moment.
function registersAt(found, time) {
  const after = new Array(6).fill(null), before = new Array(6).fill(null);
  const all = found.changes;
  for (let i = 0; i < all.length && all[i] <= time; i += 3) {
    if (all[i] < time || all[i] === 0) before[all[i + 1]] = all[i + 2];
    after[all[i + 1]] = all[i + 2];
  }
  return { before, after };
}

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

function registersSection() {
  const r = rec(), vcpu = shownVcpu();
  const found = r.registers[vcpu];
  const scale = scaleOf(state.cursor);
  const step = state.sel && selected() ? `<span class="stepno">step ${state.sel.step + 1} of ${selected().cards.length}</span>` : "";
  const where = vcpu >= 0 ? ` <span class="quiet">${escaped(vcpuName(r, vcpu))} at <span class="mono">${clock(state.cursor, scale)}</span> ${scale.name}</span>` : "";
  if (!found) {
    const why = vcpu >= 0 && (r.owns || [])[vcpu] === DOM0
      ? `${vcpuName(r, vcpu)} is a PV guest: it has no virtual APIC, only event channels.`
      : "No row of this record moves a vector through a virtual APIC here; its registers are unknown.";
    return `<section class="regs"><div class="top"><h2>Registers${where}</h2>${step}</div>${portsText(r, vcpu)}<p class="quiet">${escaped(why)}</p></section>`;
  }
  const { before, after } = registersAt(found, state.cursor);
  const names = found.virtual ? ["PIR", "VIRR", "VISR"] : ["PIR", "IRR", "ISR"];
  const grids = [0, 1, 2].map((f) => {
    if (f === 0 && !found.posted) return `<figure class="none"><figcaption><b>PIR</b></figcaption><p>${r.origin === "simulated" ? "– no posted-interrupt descriptor under this mechanism" : "? not in this record"}</p></figure>`;
    return `<figure><figcaption><b>${names[f]}</b> <span class="mono">${bitList(found, after[f])}</span></figcaption>${gridSvg(found, f, before[f], after[f], f === 0)}</figure>`;
  });
  const field = (f, show, name = FIELDS[f]) => {
    const was = before[f], is = after[f], changed = was !== null && was !== is;
    const text = (v) => (v === null || v < 0 ? "?" : show(v));
    return `<div class="${changed ? "changed" : ""}"><span>${name}</span><span class="mono">${changed ? `<s>${text(was)}</s> ` : ""}${text(is)}</span></div>`;
  };
  const none = (name, why) => `<div class="na" title="${why}"><span>${name}</span><span class="mono">–</span></div>`;
  const cells = found.virtual
    ? field(3, hex) + field(4, hex) + (found.posted ? field(5, String) : none("ON", "no descriptor under this mechanism"))
    : none("RVI", "the hypervisor keeps this APIC in memory") + none("SVI", "the hypervisor keeps this APIC in memory") + none("ON", "no descriptor under this mechanism");
  const j = selected(), direct = j && r.hostVectors[j.source] === j.vector;
  const unknown = found.virtual ? "VTPR, VPPR, the EOI-exit bitmap and SN are not in the rows." : `${r.host === "Xen" ? "Xen" : "The host"} keeps this local APIC in its own memory; the task priority is not in the rows.${direct ? " While the guest runs, the selected vector is delivered directly and goes past it." : ""}`;
  return `<section class="regs"><div class="top"><h2>Registers${where}</h2>${step}</div><div class="grids">${grids.join("")}</div>`
    + `<p class="key"><span>row: class, column: low nibble</span><span class="signs">${keySign("set")}set now ${keySign("cleared")}cleared now</span></p>`
    + `<div class="fields">${cells}</div>${portsText(r, vcpu)}<p class="quiet">${unknown}</p></section>`;
}

// Event channels of a vCPU whose pending bit is set at the cursor; empty text where the record has no ports of it.
function portsText(r, vcpu) {
  const own = Object.keys(r.ports).filter((key) => key.startsWith(`${vcpu}:`));
  if (!own.length) return "";
  const set = own.filter((key) => {
    const flat = r.ports[key], i = firstAt(flat, 3, state.cursor + 0.5);
    return i < flat.length && flat[i] <= state.cursor && state.cursor < flat[i + 1];
  });
  return `<p class="ports"><span class="quiet">Ports pending</span> <span class="mono">${set.map((key) => key.split(":")[1]).join(", ") || "none"}</span></p>`;
}

function keySign(kind) {
  return `<svg viewBox="0 0 12 12" aria-hidden="true">${cellSvg(kind, 2, 2, 8)}</svg>`;
}

function cellSvg(kind, x, y, size) {
  const ring = `<rect x="${x - 1.2}" y="${y - 1.2}" width="${size + 2.4}" height="${size + 2.4}" rx="1.5" fill="var(--changed)" stroke="var(--changed-edge)" stroke-width="1.3"/>`;
  if (kind === "set") return `${ring}<rect x="${x + 1.3}" y="${y + 1.3}" width="${size - 2.6}" height="${size - 2.6}" fill="var(--ink)"/>`;
  return `${ring}<path d="M${x + 1.6} ${y + 1.6}l${size - 3.2} ${size - 3.2}m0 ${-(size - 3.2)}l${-(size - 3.2)} ${size - 3.2}" stroke="var(--ink)" stroke-width="1.5"/>`;
}

function gridSvg(found, field, before, after, rows) {
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
  return `<svg class="grid" data-field="${field}" viewBox="0 0 ${left + 16 * pitch + 1} 132" width="${left + 16 * pitch + 1}" height="132" role="img" aria-label="${FIELDS[field]}: ${bitList(found, after)}">${out}${top}</svg>`;
}

// What the rows of a moment change, for the table of the explained step.
function changesAt(found, time) {
  const { before, after } = registersAt(found, time);
  const out = [];
  const names = found.virtual ? ["PIR", "VIRR", "VISR"] : ["PIR", "IRR", "ISR"];
  for (let f = 0; f < 3; f++) {
    if (before[f] === after[f] || before[f] === null || after[f] === null) continue;
    for (let v = 255; v >= 0; v--) {
      const was = bitOf(found, before[f], v), is = bitOf(found, after[f], v);
      if (was !== is && (was === 1 || is === 1)) out.push([`${names[f]}[${hex(v).slice(2)}]`, was < 0 ? "?" : was, is < 0 ? "?" : is]);
    }
  }
  for (let f = 3; f < 6; f++) {
    if (before[f] === after[f] || before[f] === null) continue;
    const text = (v) => (v < 0 ? "?" : f === 5 ? v : hex(v));
    out.push([f === 5 ? "PID.ON" : FIELDS[f], text(before[f]), text(after[f])]);
  }
  return out;
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
