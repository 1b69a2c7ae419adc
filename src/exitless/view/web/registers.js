// Registers at the cursor, as far as the record's rows prove them. Unknown is shown as unknown.

const F = { PIR: 0, VIRR: 1, VISR: 2, RVI: 3, SVI: 4, ON: 5, SN: 6, NV: 7, NDST: 8, VTPR: 9, EOI_EXIT: 10, UPCALL: 11, SELECTOR: 12 };

// The vCPU whose registers are shown: the selection's, else that of the lane, else the first that has any.
function shownVcpu() {
  const r = rec(), j = selected();
  if (j && j.vcpu >= 0) return j.vcpu;
  const lane = r.lanes[state.lane];
  if (lane && ["vcpu", "vector", "port", "pid"].includes(lane.kind)) return lane.number;
  const known = Object.keys(r.registers).map(Number);
  return known.find((v) => r.registers[v].apic) ?? (known.length ? known[0] : -1);
}

// Replays changes: the state after every row at or before a moment, and the state before the rows of that moment.
function registersAt(found, time) {
  const after = new Array(13).fill(null), before = new Array(13).fill(null);
  const all = found.changes;
  for (let i = 0; i < all.length && all[i] <= time; i += 3) {
    if (all[i] < time || all[i] === 0) before[all[i + 1]] = all[i + 2];
    after[all[i + 1]] = all[i + 2];
  }
  before.vppr = priority(before);
  after.vppr = priority(after);
  return { before, after };
}

// VPPR as the processor keeps it: VTPR, or the class in service where that is higher.
function priority(now) {
  const [tpr, svi] = [now[F.VTPR], now[F.SVI]];
  if (tpr === null || svi === null || tpr < 0 || svi < 0) return -1;
  return tpr >> 4 >= svi >> 4 ? tpr : svi & 0xf0;
}

// A real guest's registers of which a trace tells nothing: every bit and field is unknown.
function untold(found) {
  const { values, changes, events } = found || { values: [[[], [0, 255]]], changes: [], events: false };
  return { virtual: false, posted: false, apic: true, events, values, changes };
}

function registersSection() {
  const r = rec(), vcpu = shownVcpu();
  const told = r.registers[vcpu], found = told && told.apic ? told : r.origin !== "simulated" && vcpu >= 0 && (r.owns || [])[vcpu] !== DOM0 ? untold(told) : told;
  const scale = scaleOf(state.cursor);
  const step = state.sel && selected() ? `<span class="stepno">step ${state.sel.step + 1} of ${selected().cards.length}</span>` : "";
  const where = vcpu >= 0 ? ` <span class="quiet">${escaped(vcpuName(r, vcpu))} at <span class="mono">${clock(state.cursor, scale)}</span> ${scale.name}</span>` : "";
  const top = `<section class="regs"><div class="top"><h2>Registers${where}</h2>${step}</div>`;
  if (!found || !found.apic) {
    const why = vcpu >= 0 && (r.owns || [])[vcpu] === DOM0
      ? `${vcpuName(r, vcpu)} is a PV guest: it has no virtual APIC, only event channels.`
      : r.origin === "simulated" && found && found.events
        ? `Under ${r.name} interrupts reach ${vcpuName(r, vcpu)} as event channels: an upcall is injected, and no vector moves through a virtual APIC.`
        : "No row of this record moves a vector through a virtual APIC here; its registers are unknown.";
    return `${top}<dl class="besides">${lapicLine(r)}${eventsLine(r, vcpu, found)}</dl><p class="quiet">${escaped(why)}</p></section>`;
  }
  const { before, after } = registersAt(found, state.cursor);
  const open = found.virtual && after.vppr >= 0 ? (after.vppr >> 4) + 1 : -1;
  const none = !found.posted && r.origin === "simulated", first = none ? F.VIRR : F.PIR;
  const grids = [F.PIR, F.VIRR, F.VISR].map((f) => {
    if (f === F.PIR && none) return '<figure class="none"><figcaption><b>PIR</b></figcaption><p>– no posted-interrupt descriptor under this mechanism</p></figure>';
    return `<figure${f === first ? ' class="rows"' : ""}><figcaption><b>${nameOfSet(found, f)}</b> <span class="mono">${bitList(found, after[f])}</span></figcaption>${gridSvg(found, f, before[f], after[f], f === first, f === F.VIRR ? open : -1)}</figure>`;
  });
  const direct = selected() && r.hostVectors[selected().source] === selected().vector;
  const real = r.origin !== "simulated";
  const note = real ? '<p class="quiet">Dots and ? are what no row of this trace tells.</p>' : found.virtual ? "" : `<p class="quiet">${r.host === "Xen" ? "Xen" : "The host"} keeps this local APIC in its own memory.${direct ? " While the guest runs, the selected vector is delivered directly and goes past it." : ""}</p>`;
  return `${top}<div class="grids">${grids.join("")}</div>`
    + `<p class="key"><span>row = class, column = low nibble</span><span class="signs">${keySign("set")}set now ${keySign("cleared")}cleared now${open >= 0 ? ' <svg viewBox="0 0 12 12" aria-hidden="true"><path class="vppr" d="M0 6h12"/></svg>VPPR' : ""}</span></p>`
    + `<div class="fields">${fieldCells(r, found, before, after)}</div><dl class="besides">${found.virtual || real ? bitmapLine(found, before, after) + recognizedLine(found, after) : ""}${lapicLine(r)}${eventsLine(r, vcpu, found)}</dl>${note}</section>`;
}

// Eight fields: value before, if it has just changed, and now; a dash where the mechanism has none, ? where no row tells.
function fieldCells(r, found, before, after) {
  const real = r.origin !== "simulated", kept = `${r.host} keeps this APIC in memory`;
  const none = (name, why) => `<div class="na" data-says="${escaped(`${name}: ${real ? "not in this trace" : why}`)}"><span>${name}</span><span class="mono">${real ? "?" : "–"}</span></div>`;
  const cell = (name, was, is, show, says) => {
    const text = (v) => (v === null || v < 0 ? "?" : show(v)), changed = was !== null && was !== is;
    return `<div class="${changed ? "changed" : ""}" data-says="${escaped(`${name}: ${is === null || is < 0 ? "no row has told it yet; " : ""}${says}`)}"><span>${name}</span><span class="mono">${changed ? `<s>${text(was)}</s> ` : ""}${text(is)}</span></div>`;
  };
  const of = (name, f, show, says) => cell(name, before[f], after[f], show, says);
  const virtual = found.virtual
    ? of("RVI", F.RVI, hex, "the highest vector requested · SDM 29.1, guest interrupt status") + of("SVI", F.SVI, hex, "the highest vector in service · SDM 29.1, guest interrupt status")
      + of("VTPR", F.VTPR, hex, "the task priority that the guest has set · SDM 29.1.2") + cell("VPPR", before.vppr, after.vppr, hex, "VTPR, or the class in service where that is higher · SDM 29.1.3")
    : ["RVI", "SVI", "VTPR", "VPPR"].map((name) => none(name, kept)).join("");
  if (!found.posted) return virtual + ["ON", "SN", "NV", "NDST"].map((name) => none(name, "no descriptor under this mechanism")).join("");
  const lone = !real && after[F.NV] === null || !real && after[F.NV] < 0 && r.name !== "vtd-posted";
  const software = "only the remapping hardware reads it; here the hypervisor sends the notification itself";
  return virtual + of("ON", F.ON, String, "1 while a notification is outstanding · VT-d 9.11")
    + (lone ? none("SN", software) + none("NV", software) + none("NDST", software)
      : of("SN", F.SN, String, "1 while posts shall not notify · VT-d 9.11") + of("NV", F.NV, hex, "the vector of the notification · VT-d 9.11")
        + of("NDST", F.NDST, (v) => hex(v, 8), "where the notification goes: a physical APIC · VT-d 9.11"));
}

function line(name, html, says, changed = false) {
  return `<div data-says="${escaped(says)}"${changed ? ' class="changed"' : ""}><dt>${escaped(name)}</dt><dd class="mono">${html}</dd></div>`;
}

function setOf(found, value) {
  const text = bitList(found, value);
  return text === "empty" ? "{}" : text === "unknown" ? "?" : `{${text}}`;
}

function bitmapLine(found, before, after) {
  const was = setOf(found, before[F.EOI_EXIT]), is = setOf(found, after[F.EOI_EXIT]), changed = before[F.EOI_EXIT] !== null && was !== is;
  return line("EOI-exit bitmap", `${changed ? `<s>${was}</s> ` : ""}${is}`, "vectors whose EOI exits · SDM 24.6.8", changed);
}

function recognizedLine(found, after) {
  const rvi = after[F.RVI], digit = (v) => (v >> 4).toString(16).toUpperCase();
  const text = rvi === null || rvi < 0 || after.vppr < 0 ? "?" : rvi === 0 ? "no request" : rvi >> 4 > after.vppr >> 4
    ? `yes <span class="quiet">class ${digit(rvi)} > ${digit(after.vppr)}: delivered at the next boundary with IF = 1</span>`
    : `no <span class="quiet">class ${digit(rvi)} waits while VPPR is ${hex(after.vppr)}</span>`;
  return line("Recognized", text, "a request is recognized while the class of RVI is above that of VPPR · SDM 29.2.1");
}

// The pCPU whose local APIC is shown: the lane's, the step's, or where the vCPU is at the cursor.
function shownPcpu(r) {
  const lane = r.lanes[state.lane], j = selected(), vcpu = shownVcpu();
  if (lane && lane.kind === "pcpu") return lane.number;
  if (state.exit) return state.exit.pcpu;
  const card = selectedStep(), row = card && card.time === state.cursor && card.rows.find((x) => x[1] >= 0);
  if (row) return row[1];
  const flat = r.states[vcpu] || [], i = firstAt(flat, 4, state.cursor + 0.5);
  if (i < flat.length && flat[i] <= state.cursor && flat[i + 3] >= 0) return flat[i + 3];
  return j && j.pcpus.length ? j.pcpus[0] : Number(Object.keys(r.lapics || {})[0] ?? -1);
}

function lapicLine(r) {
  const pcpu = shownPcpu(r), found = (r.lapics || {})[pcpu], name = `LAPIC pCPU${pcpu}`;
  const says = "the local APIC of the physical CPU: requests, in service, and the priority that holds others back · SDM 10.8.3";
  if (pcpu < 0) return "";
  if (!found) return line(name, '? <span class="quiet">not in this trace</span>', says);
  const n = firstAt(found.changes, 2, state.cursor + 0.5), at = found.changes[n] <= state.cursor ? n : -1;
  const now = at < 0 ? null : found.values[found.changes[at + 1]], before = at >= 2 && found.changes[at] === state.cursor ? found.values[found.changes[at - 1]] : now;
  if (!now) return line(name, "?", says);
  const set = (x) => `{${x.slice().reverse().map((v) => hex(v)).join(" ")}}`, ppr = (x) => hex(x[1].length ? x[1].at(-1) & 0xf0 : 0);
  const part = (what, show) => `${what} ${show(before) === show(now) ? "" : `<s>${show(before)}</s> `}${show(now)}`;
  const whole = now[2].length === 0 || now[2].length === 2 && now[2][0] === 0 && now[2][1] === 255 && !now[0].length && !now[1].length;
  if (whole && now[2].length) return line(name, "?", says);
  return line(name, `${part("IRR", (x) => set(x[0]))} ${part("ISR", (x) => set(x[1]))}${whole ? ` ${part("PPR", ppr)}` : ' <span class="quiet">rest ?</span>'}`, says, before !== now);
}

// Event channels: the words with a pending bit, the selector, and the upcall flag of the vCPU.
function eventsLine(r, vcpu, found) {
  if (!found || !found.events) return "";
  const { before, after } = registersAt(found, state.cursor), words = new Map();
  for (const key of Object.keys(r.ports)) {
    const [who, port] = key.split(":").map(Number), flat = r.ports[key], i = firstAt(flat, 3, state.cursor + 0.5);
    if (who !== vcpu) continue;
    const is = i < flat.length && flat[i] <= state.cursor && state.cursor < flat[i + 1];
    words.set(port >> 6, (words.get(port >> 6) || 0n) | (is ? 1n << BigInt(port & 63) : 0n));
  }
  const pending = [...words].sort((a, b) => a[0] - b[0]).map(([n, bits]) => `pending[${n}] ${bits ? `0x${bits.toString(16)}` : 0}`).join(" ");
  const sel = (v) => (v === null || found.values[v][1].length ? "?" : found.values[v][0].length ? found.values[v][0].map((n) => `bit ${n}`).join(" ") : "0");
  const flag = (v) => (v === null || v < 0 ? "?" : v), part = (name, show, f) => `${name} ${before[f] !== null && show(before[f]) !== show(after[f]) ? `<s>${show(before[f])}</s> ` : ""}${show(after[f])}`;
  const moved = [F.UPCALL, F.SELECTOR].some((f) => before[f] !== null && before[f] !== after[f]);
  return line(`Events ${vcpuName(r, vcpu)}`, `${pending} ${part("sel", sel, F.SELECTOR)} ${part("upcall", flag, F.UPCALL)}`, "evtchn_pending by word, evtchn_pending_sel and evtchn_upcall_pending of the vCPU · Xen, public/xen.h, vcpu_info", moved);
}

// What the rows of a moment change, for the table of the explained step.
function changesAt(found, time) {
  const { before, after } = registersAt(found, time);
  const out = [];
  for (const f of [F.PIR, F.VIRR, F.VISR, F.EOI_EXIT]) {
    if (before[f] === after[f] || before[f] === null || after[f] === null) continue;
    const name = f === F.EOI_EXIT ? "EOI-exit" : nameOfSet(found, f);
    for (let v = 255; v >= 0; v--) {
      const was = bitOf(found, before[f], v), is = bitOf(found, after[f], v);
      if (was !== is && (was === 1 || is === 1)) out.push([`${name}[${hex(v).slice(2)}]`, was < 0 ? "?" : was, is < 0 ? "?" : is]);
    }
  }
  const plain = [["RVI", F.RVI, hex], ["SVI", F.SVI, hex], ["VTPR", F.VTPR, hex], ["PID.ON", F.ON, String], ["PID.SN", F.SN, String], ["PID.NV", F.NV, hex], ["PID.NDST", F.NDST, (v) => hex(v, 8)], ["upcall pending", F.UPCALL, String]];
  for (const [name, f, show] of plain) {
    const text = (v) => (v < 0 ? "?" : show(v));
    if (before[f] !== after[f] && before[f] !== null) out.push([name, text(before[f]), text(after[f])]);
  }
  if (found.virtual && before.vppr !== after.vppr && before.vppr >= 0 && after.vppr >= 0) out.push(["VPPR", hex(before.vppr), hex(after.vppr)]);
  return out;
}
